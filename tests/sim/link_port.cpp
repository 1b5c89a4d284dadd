// A Verilated hdl.host_link.HostLink behind its UART, see tests/sim/link_port.py.
//
// In each cycle the inputs are set, the model settles with the clock low, handshakes are decided,
// and then the clock rises.

#include <cstdint>
#include <deque>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

struct Board {
    VerilatedContext context;
    Vtop top{&context, ""};
    const unsigned clocks;  // a bit
    const unsigned stalls;  // longest pause of a stream
    const bool echo;
    uint64_t random;
    uint64_t cycles = 0;

    std::deque<uint8_t> line;     // bits to the board
    unsigned bit_left = 0;        // cycles of the one on the line
    std::vector<uint8_t> heard;   // characters from the board
    unsigned listen = 0;          // cycles to the next sample, 0 while the line rests
    unsigned place = 0;           // of the next sample in its character
    unsigned character = 0;

    std::vector<uint8_t> produced;  // what the board sends in each session
    size_t next = 0;                // of `produced`
    std::vector<uint8_t> taken;     // what it has taken in this session
    unsigned take_pause = 0, send_pause = 0;
    bool hold = false;              // take nothing

    uint32_t restarts = 0;
    uint32_t violations = 0;  // of the streams' and the line's rules
    bool waited = false;
    uint8_t waiting = 0;

    Board(unsigned clocks, unsigned stalls, bool echo, uint64_t seed)
        : clocks(clocks), stalls(stalls), echo(echo), random(seed * 2 + 1) {
        top.rx = 1;
        top.rst = 1;
        for (int count = 0; count < 4; ++count) clock();
        top.rst = 0;
    }

    uint32_t draw() {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return uint32_t(random >> 32);
    }

    unsigned pause() { return stalls && draw() % 8 == 0 ? draw() % stalls : 0; }

    void clock() {
        top.clk = 0, top.eval();
        top.clk = 1, top.eval();
        ++cycles;
    }

    void speak() {
        if (bit_left) {
            --bit_left;
            return;
        }
        top.rx = line.empty() ? 1 : line.front();
        if (!line.empty()) line.pop_front();
        bit_left = clocks - 1;
    }

    void hear() {
        if (!listen) {
            if (!top.tx) listen = clocks / 2, place = 0;
            return;
        }
        if (--listen) return;
        if (place == 0 && top.tx) ++violations;
        if (place >= 1 && place <= 8) character = character >> 1 | (top.tx ? 0x80u : 0);
        if (place == 9) {
            if (!top.tx) ++violations;
            heard.push_back(uint8_t(character));
            return;
        }
        ++place;
        listen = clocks;
    }

    void cycle() {
        speak();
        const auto& source = echo ? taken : produced;
        top.received_ready = !hold && !take_pause && !(echo && next < taken.size());
        if (take_pause) --take_pause;
        if (send_pause) --send_pause;
        else top.to_send_valid = restarts && next < source.size();
        if (top.to_send_valid) top.to_send_payload = source[next];
        top.clk = 0, top.eval();
        hear();
        const bool restart = top.restart;
        const bool takes = top.received_valid && top.received_ready;
        const bool sends = top.to_send_valid && top.to_send_ready;
        const uint8_t byte = top.received_payload;
        if (waited && !(top.received_valid && byte == waiting)) ++violations;
        waited = top.received_valid && !takes && !restart;
        waiting = byte;
        top.clk = 1, top.eval();
        ++cycles;
        if (restart) {
            ++restarts;
            taken.clear();
            next = 0;
            top.to_send_valid = 0;
            return;
        }
        if (takes) taken.push_back(byte), take_pause = pause();
        if (sends) ++next, send_pause = pause(), top.to_send_valid = 0;
    }
};

Board& board(void* pointer) { return *static_cast<Board*>(pointer); }

}  // namespace

extern "C" {

void* link_create(uint32_t clocks, uint32_t stalls, uint32_t echo, uint64_t seed) {
    return new Board(clocks, stalls, echo, seed);
}

void link_destroy(void* pointer) { delete static_cast<Board*>(pointer); }

void link_produce(void* pointer, const uint8_t* bytes, uint64_t count) {
    board(pointer).produced.assign(bytes, bytes + count);
}

void link_hold(void* pointer, uint32_t hold) { board(pointer).hold = hold; }

void link_line(void* pointer, const uint8_t* bits, uint64_t count) {
    auto& line = board(pointer).line;
    line.insert(line.end(), bits, bits + count);
}

// Up to `cycles`, until a character has come; its value, or -1.
int32_t link_hear(void* pointer, uint64_t cycles) {
    auto& b = board(pointer);
    b.heard.clear();
    while (cycles-- && b.heard.empty()) b.cycle();
    return b.heard.empty() ? -1 : b.heard.front();
}

uint64_t link_cycles(void* pointer) { return board(pointer).cycles; }

uint32_t link_restarts(void* pointer) { return board(pointer).restarts; }

uint32_t link_violations(void* pointer) { return board(pointer).violations; }

uint64_t link_taken(void* pointer, uint8_t* bytes, uint64_t room) {
    const auto& taken = board(pointer).taken;
    for (uint64_t index = 0; index < room && index < taken.size(); ++index)
        bytes[index] = taken[index];
    return taken.size();
}

}  // extern "C"
