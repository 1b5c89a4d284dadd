// The native harness: a Verilated hdl.system.System behind a small C interface, see sim/native.py.
//
// Buffers come in and go out whole; nothing but this file runs in a clock cycle. Functions that can
// fail return one of Result. In each cycle the inputs are set, the model settles with the clock low,
// handshakes are decided, and then the clock rises.

#include <cstdint>
#include <cstring>
#include <memory>

#include "Vtop.h"
#include "Vtop___024root.h"
#include "verilated.h"
#include "lanes.h"  // LANES(USE): USE(0) USE(1) ..., a use for each lane of the twin

#if EIGENBAR_WAVES_FST
#include "verilated_fst_c.h"
using Waves = VerilatedFstC;
#elif EIGENBAR_WAVES_VCD
#include "verilated_vcd_c.h"
using Waves = VerilatedVcdC;
#endif

namespace {

enum Result { OK, HANGS, PACKET_SHORT, PACKET_LONG };

constexpr uint64_t PERIOD = 10;  // nanoseconds
constexpr uint8_t READ = 1, PROGRAM = 2;  // hdl.twin_lane.Command

template <typename Bits>
unsigned ones(const Bits& bits) {
    unsigned count = 0;
    const auto* byte = reinterpret_cast<const uint8_t*>(&bits);
    for (size_t index = 0; index < sizeof(Bits); ++index) count += __builtin_popcount(byte[index]);
    return count;
}

struct Lane {
    void* cells;
    size_t size;  // bytes of a cell
};

struct Machine {
    VerilatedContext context;
    std::unique_ptr<Vtop> top;
    uint64_t cycles = 0;
    uint64_t coincidences = 0;
#if EIGENBAR_WAVES_FST || EIGENBAR_WAVES_VCD
    Waves waves;
#endif

    explicit Machine(const char* path) {
#if EIGENBAR_WAVES_FST || EIGENBAR_WAVES_VCD
        context.traceEverOn(true);
#endif
        top = std::make_unique<Vtop>(&context, "");
#if EIGENBAR_WAVES_FST || EIGENBAR_WAVES_VCD
        top->trace(&waves, 99);
        waves.open(path);
#else
        (void)path;
#endif
    }

    ~Machine() {
#if EIGENBAR_WAVES_FST || EIGENBAR_WAVES_VCD
        waves.close();
#endif
        top->final();
    }

    void level(bool clock) {
        top->clk = clock;
        top->eval();
        context.timeInc(PERIOD / 2);
#if EIGENBAR_WAVES_FST || EIGENBAR_WAVES_VCD
        waves.dump(context.time());
#endif
    }

    // After the inputs of a cycle are set: outputs follow.
    void settle() {
        level(false);
        if (top->slot_last)
            coincidences += uint64_t(ones(top->rows_positive) + ones(top->rows_negative)) *
                            (ones(top->columns_positive) + ones(top->columns_negative));
    }

    void rise() {
        level(true);
        ++cycles;
    }

    void cycle() {
        settle();
        rise();
    }

    void reset() {
        top->rst = 1;
        for (int count = 0; count < 4; ++count) cycle();
        top->rst = 0;
        cycle();
    }

    Result write(uint32_t address, uint32_t word, uint32_t* response, uint64_t patience) {
        top->s_axil_awaddr = address;
        top->s_axil_wdata = word;
        top->s_axil_wstrb = 0xf;
        top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_bready = 1;
        for (bool answered = false; !answered; --patience) {
            if (!patience) return HANGS;
            settle();
            const bool address_taken = top->s_axil_awvalid && top->s_axil_awready;
            const bool word_taken = top->s_axil_wvalid && top->s_axil_wready;
            answered = top->s_axil_bvalid;
            if (answered) *response = top->s_axil_bresp;
            rise();
            if (address_taken) top->s_axil_awvalid = 0;
            if (word_taken) top->s_axil_wvalid = 0;
        }
        top->s_axil_bready = 0;
        return OK;
    }

    Result read(uint32_t address, uint32_t* word, uint64_t patience) {
        top->s_axil_araddr = address;
        top->s_axil_arvalid = top->s_axil_rready = 1;
        for (bool answered = false; !answered; --patience) {
            if (!patience) return HANGS;
            settle();
            const bool address_taken = top->s_axil_arvalid && top->s_axil_arready;
            answered = top->s_axil_rvalid;
            if (answered) *word = top->s_axil_rdata;
            rise();
            if (address_taken) top->s_axil_arvalid = 0;
        }
        top->s_axil_rready = 0;
        return OK;
    }

    Result exchange(const uint8_t* input, const uint64_t* ends, uint64_t packets, uint8_t* output,
                    uint64_t wanted, uint64_t length, uint64_t patience) {
        constexpr size_t BEAT = EIGENBAR_STREAM_BYTES;
        const uint64_t beats = packets ? ends[packets - 1] : 0;
        uint64_t sent = 0, received = 0, packet = 0, waited = 0;
        Result result = OK;
        top->m_axis_tready = wanted > 0;
        while (result == OK && (sent < beats || received < wanted)) {
            top->s_axis_tvalid = sent < beats;
            if (sent < beats) {
                memcpy(&top->s_axis_tdata, input + sent * BEAT, BEAT);
                top->s_axis_tlast = sent + 1 == ends[packet];
            }
            settle();
            const bool out = top->s_axis_tvalid && top->s_axis_tready;
            const bool in = top->m_axis_tvalid && top->m_axis_tready;
            if (in) {
                memcpy(output + received * BEAT, &top->m_axis_tdata, BEAT);
                ++received;
                if (top->m_axis_tlast != (received % length == 0))
                    result = top->m_axis_tlast ? PACKET_SHORT : PACKET_LONG;
            }
            rise();
            if (out && ++sent == ends[packet]) ++packet;
            waited = in || out ? 0 : waited + 1;
            if (waited > patience) result = HANGS;
        }
        top->s_axis_tvalid = top->m_axis_tready = 0;
        return result;
    }

    Result access(uint8_t command, uint32_t cell, uint32_t* word, uint64_t patience) {
        top->request_command = command;
        top->request_cell = cell;
        top->request_word = command == PROGRAM ? *word : 0;
        top->request_valid = top->response_ready = 1;
        for (bool done = false; !done; --patience) {
            if (!patience) return HANGS;
            settle();
            const bool taken = top->request_valid && top->request_ready;
            if (command == READ && top->response_valid) {
                *word = top->response_word;
                done = true;
            }
            rise();
            if (taken) {
                top->request_valid = 0;
                done = done || command != READ;
            }
        }
        top->response_ready = 0;
        return OK;
    }

    Result rest(uint64_t patience) {
        for (settle(); !top->idle; settle()) {
            if (!patience--) return HANGS;
            rise();
        }
        rise();
        return OK;
    }

    Lane lane(uint32_t number) {
        auto* root = top->rootp;
        switch (number) {
#define USE(N)                                                           \
    case N:                                                              \
        return {&root->eigenbar__DOT__twin__DOT__lane_##N##__DOT__cells, \
                sizeof(root->eigenbar__DOT__twin__DOT__lane_##N##__DOT__cells[0])};
            LANES(USE)
#undef USE
        }
        return {nullptr, 0};
    }
};

}  // namespace

extern "C" {

void* eigenbar_create(const char* waves) { return new Machine(waves); }

void eigenbar_destroy(Machine* machine) { delete machine; }

void eigenbar_reset(Machine* machine) { machine->reset(); }

int eigenbar_write(Machine* machine, uint32_t address, uint32_t word, uint32_t* response,
                   uint64_t patience) {
    return machine->write(address, word, response, patience);
}

int eigenbar_read(Machine* machine, uint32_t address, uint32_t* word, uint64_t patience) {
    return machine->read(address, word, patience);
}

// Read the register at `address` until its bits `mask` are `value`; `patience` in cycles.
int eigenbar_poll(Machine* machine, uint32_t address, uint32_t mask, uint32_t value,
                  uint64_t patience) {
    const uint64_t end = machine->cycles + patience;
    for (uint32_t word = ~value; (word & mask) != value;) {
        const Result result = machine->read(address, &word, patience);
        if (result != OK) return result;
        if (machine->cycles > end) return HANGS;
    }
    return OK;
}

// Send `packets` packets, of which number i ends before beat ends[i], and meanwhile receive `wanted`
// beats in packets of `length`. It hangs if no beat is taken for `patience` cycles.
int eigenbar_exchange(Machine* machine, const uint8_t* input, const uint64_t* ends,
                      uint64_t packets, uint8_t* output, uint64_t wanted, uint64_t length,
                      uint64_t patience) {
    return machine->exchange(input, ends, packets, output, wanted, length, patience);
}

// Set up the twin's ADCs.
void eigenbar_converters(Machine* machine, uint32_t resolution, uint32_t shift) {
    machine->top->resolution = resolution;
    machine->top->shift = shift;
}

// Through the twin's own port: program each of `cells` to its word, or read it.
int eigenbar_program(Machine* machine, const uint32_t* cells, uint32_t* words, uint64_t count,
                     uint64_t patience) {
    for (uint64_t index = 0; index < count; ++index) {
        const Result result = machine->access(PROGRAM, cells[index], words + index, patience);
        if (result != OK) return result;
    }
    return machine->rest(patience);
}

int eigenbar_cells(Machine* machine, const uint32_t* cells, uint32_t* words, uint64_t count,
                   uint64_t patience) {
    for (uint64_t index = 0; index < count; ++index) {
        const Result result = machine->access(READ, cells[index], words + index, patience);
        if (result != OK) return result;
    }
    return OK;
}

// Run until the twin is idle.
int eigenbar_rest(Machine* machine, uint64_t patience) { return machine->rest(patience); }

// Words of the cells, read from the model's memories in no simulated time; the twin must be idle.
void eigenbar_peek(Machine* machine, const uint32_t* cells, uint32_t* words, uint64_t count) {
    Lane lanes[EIGENBAR_LANES];
    for (uint32_t number = 0; number < EIGENBAR_LANES; ++number)
        lanes[number] = machine->lane(number);
    for (uint64_t index = 0; index < count; ++index) {
        const Lane& lane = lanes[cells[index] % EIGENBAR_LANES];
        const auto* place =
            static_cast<const uint8_t*>(lane.cells) + cells[index] / EIGENBAR_LANES * lane.size;
        words[index] = 0;
        memcpy(words + index, place, lane.size < 4 ? lane.size : 4);
    }
}

uint64_t eigenbar_cycles(const Machine* machine) { return machine->cycles; }

uint64_t eigenbar_coincidences(const Machine* machine) { return machine->coincidences; }

uint32_t eigenbar_faults(const Machine* machine) { return machine->top->faults; }
}
