"""Nets are assigned at once where that means the same, and collisions of memories left open."""

from hdl.verilog import join_assignments, leave_collisions_open

PARTS = """module a(o, s);
  output [3:0] o;
  wire [3:0] o;
  wire [1:0] \\s[0] ;
  assign o[1:0] = \\s[0] ;
  assign o[3] = s[1];
  assign o[2] = 1'h0;
endmodule
"""


def test_parts_that_cover_a_net_are_joined_highest_first():
    joined = join_assignments(PARTS)
    assert "  assign o = { s[1], 1'h0, \\s[0]  };\n" in joined
    assert joined.count("assign") == 1


def test_a_net_with_a_bit_missing_is_left_alone():
    text = PARTS.replace("  assign o[2] = 1'h0;\n", "")
    assert join_assignments(text) == text


def test_operators_whose_width_depends_on_their_place_are_left_alone():
    text = PARTS.replace("s[1];", "s[1] + s[0];")
    assert join_assignments(text) == text


def test_nets_of_one_name_in_two_modules_are_kept_apart():
    half = "  assign o[3:2] = s[3:2];\n"
    text = PARTS.replace("  assign o[3] = s[1];\n  assign o[2] = 1'h0;\n", "")
    other = text.replace("module a", "module b").replace("  assign o[1:0] = \\s[0] ;\n", half)
    assert join_assignments(text + other) == text + other


MEMORY = """module a(clk);
  reg [7:0] words [15:0];
  always @(posedge clk) begin
    if (write__en)
      words[write__addr] <= write__data;
  end
  reg [7:0] _0_;
  always @(posedge clk) begin
    _0_ <= words[read__addr];
  end
  assign read__data = _0_;
endmodule
"""
OPEN = "  (* no_rw_check *)\n"


def test_a_memory_that_is_read_with_the_clock_is_left_open():
    declaration = "  reg [7:0] words [15:0];\n"
    assert leave_collisions_open(MEMORY) == MEMORY.replace(declaration, OPEN + declaration)


def test_names_with_other_characters_and_words_of_a_bit_are_known():
    text = MEMORY.replace("words", "\\words$2 ").replace("reg [7:0] ", "reg ")
    declaration = "  reg \\words$2  [15:0];\n"
    assert leave_collisions_open(text) == text.replace(declaration, OPEN + declaration)


def test_a_memory_that_is_read_without_the_clock_too_is_not():
    text = MEMORY.replace("endmodule", "  assign other__data = words[other__addr];\nendmodule")
    assert leave_collisions_open(text) == text
    assert leave_collisions_open(text + MEMORY) == text + leave_collisions_open(MEMORY)
