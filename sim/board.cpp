// The simulated board: a Verilated hdl.board.Board whose UART is a pseudo-terminal, see
// sim/simulated_board.py.
//
//     board SHARE SEED
//
// prints the terminal's name, and then simulates while a host has it open. On the way a SHARE of all
// frames (what lies between two zeros) is damaged, both ways: a bit flipped, a byte dropped or a byte
// doubled, its kind and place drawn from SEED. When standard input ends it prints how many frames
// passed and were damaged, and ends.

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <random>
#include <string>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr int CLOCKS_PER_BIT = EIGENBAR_CLOCKS_PER_BIT;
constexpr int BURST = 20 * CLOCKS_PER_BIT;  // clock cycles between two looks at the terminal
constexpr int FRAME_BITS = 10;              // of a byte on the line: start, 8 bits, stop
constexpr useconds_t NAP = 5000;            // microseconds between two looks for a host

// One direction of the line: bytes go in, and come out in whole frames, some of them damaged: of as
// many as make one damaged frame together, one drawn at random. In a steady rhythm it could be the
// first of all that is sent again, for ever.
class Line {
  public:
    Line(double share, uint64_t seed) : random(seed), share(share), next(place(random)) {}

    void put(uint8_t byte) {
        frame.push_back(byte);
        if (byte) return;
        if (frame.size() > 1) {
            ++frames;
            due += share;
            if (due > next) {
                next = floor(next) + 1 + place(random);
                ++damaged;
                damage();
            }
        }
        for (char each : frame) output.push_back(each);
        frame.clear();
    }

    std::deque<uint8_t> output;
    uint64_t frames = 0, damaged = 0;

  private:
    void damage() {
        const size_t byte = random() % frame.size();
        switch (random() % 3) {
            case 0: frame[byte] ^= 1 << random() % 8; break;
            case 1: frame.erase(byte, 1); break;
            default: frame.insert(byte, 1, frame[byte]);
        }
    }

    std::mt19937_64 random;
    std::uniform_real_distribution<double> place;
    std::string frame;
    double share, due = 0, next;
};

// The UART's other end, on the model's pins.
class Uart {
  public:
    Uart(Vtop& top, Line& to_board, Line& to_host)
        : top(top), to_board(to_board), to_host(to_host) {}

    // Before each rising edge of the clock.
    void cycle() {
        if (sending == 0 && !to_board.output.empty()) {
            word = 1 << 9 | to_board.output.front() << 1;
            to_board.output.pop_front();
            sending = FRAME_BITS * CLOCKS_PER_BIT;
        }
        top.rx = 1;
        if (sending) {
            top.rx = word >> (FRAME_BITS - 1 - (sending - 1) / CLOCKS_PER_BIT) & 1;
            --sending;
        }

        if (receiving == 0 && !top.tx) {
            receiving = FRAME_BITS * CLOCKS_PER_BIT - CLOCKS_PER_BIT / 2;  // to the stop bit's middle
            received = 0;
        }
        if (receiving) {
            --receiving;
            const int bit = FRAME_BITS - 1 - receiving / CLOCKS_PER_BIT;
            if (receiving % CLOCKS_PER_BIT == 0 && bit >= 1 && bit <= 8)
                received |= top.tx << (bit - 1);
            if (receiving == 0) to_host.put(received);
        }
    }

  private:
    Vtop& top;
    Line &to_board, &to_host;
    int sending = 0, receiving = 0;  // clock cycles that a byte still takes
    int word = 0;
    uint8_t received = 0;
};

int open_terminal() {
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (terminal < 0 || grantpt(terminal) || unlockpt(terminal)) {
        perror("cannot make a pseudo-terminal");
        exit(1);
    }
    return terminal;
}

bool input_ended() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    char byte;
    return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) == 0;
}

}  // namespace

int main(int, char** arguments) {
    const double share = atof(arguments[1]);
    const uint64_t seed = strtoull(arguments[2], nullptr, 10);
    Line to_board(share, 2 * seed), to_host(share, 2 * seed + 1);
    VerilatedContext context;
    Vtop top(&context);
    Uart uart(top, to_board, to_host);

    signal(SIGINT, SIG_IGN);  // a terminal's, which is for whoever started this
    const int terminal = open_terminal();
    printf("%s\n", ptsname(terminal));
    fflush(stdout);

    top.rst = 1;
    while (!input_ended()) {
        uint8_t bytes[256];
        const ssize_t count = read(terminal, bytes, sizeof bytes);
        for (ssize_t index = 0; index < count; ++index) to_board.put(bytes[index]);
        if (count < 0 && errno == EIO) {  // nobody has it open
            usleep(NAP);
            continue;
        }
        for (int clock = 0; clock < BURST; ++clock) {
            top.clk = 0;
            top.eval();
            uart.cycle();
            top.eval();
            top.clk = 1;
            top.eval();
            top.rst = 0;
        }
        const std::string ready(to_host.output.begin(), to_host.output.end());
        const ssize_t written = ready.empty() ? 0 : write(terminal, ready.data(), ready.size());
        if (written > 0)
            to_host.output.erase(to_host.output.begin(), to_host.output.begin() + written);
    }
    printf("%lu %lu %lu %lu\n", to_board.frames, to_board.damaged, to_host.frames,
           to_host.damaged);
    top.final();
    return 0;
}
