// What an ECP5's block RAM and multiplier do, for simulation, as far as Yosys uses them.
//
// Written after Lattice's FPGA-TN-02204 (memory) and FPGA-TN-02205 (sysDSP); the order of the bits
// of INITVAL is that of Yosys and nextpnr. What Yosys does not use stops the simulation.

module DP16KD(
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG";
  parameter REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000";
  parameter CSDECODE_B = "0b000";
  parameter WRITEMODE_A = "NORMAL";
  parameter WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA";
  parameter CLKBMUX = "CLKB";
  parameter GSR = "ENABLED";
  parameter [319:0] INITVAL_00 = 0;
  parameter [319:0] INITVAL_01 = 0;
  parameter [319:0] INITVAL_02 = 0;
  parameter [319:0] INITVAL_03 = 0;
  parameter [319:0] INITVAL_04 = 0;
  parameter [319:0] INITVAL_05 = 0;
  parameter [319:0] INITVAL_06 = 0;
  parameter [319:0] INITVAL_07 = 0;
  parameter [319:0] INITVAL_08 = 0;
  parameter [319:0] INITVAL_09 = 0;
  parameter [319:0] INITVAL_0A = 0;
  parameter [319:0] INITVAL_0B = 0;
  parameter [319:0] INITVAL_0C = 0;
  parameter [319:0] INITVAL_0D = 0;
  parameter [319:0] INITVAL_0E = 0;
  parameter [319:0] INITVAL_0F = 0;
  parameter [319:0] INITVAL_10 = 0;
  parameter [319:0] INITVAL_11 = 0;
  parameter [319:0] INITVAL_12 = 0;
  parameter [319:0] INITVAL_13 = 0;
  parameter [319:0] INITVAL_14 = 0;
  parameter [319:0] INITVAL_15 = 0;
  parameter [319:0] INITVAL_16 = 0;
  parameter [319:0] INITVAL_17 = 0;
  parameter [319:0] INITVAL_18 = 0;
  parameter [319:0] INITVAL_19 = 0;
  parameter [319:0] INITVAL_1A = 0;
  parameter [319:0] INITVAL_1B = 0;
  parameter [319:0] INITVAL_1C = 0;
  parameter [319:0] INITVAL_1D = 0;
  parameter [319:0] INITVAL_1E = 0;
  parameter [319:0] INITVAL_1F = 0;
  parameter [319:0] INITVAL_20 = 0;
  parameter [319:0] INITVAL_21 = 0;
  parameter [319:0] INITVAL_22 = 0;
  parameter [319:0] INITVAL_23 = 0;
  parameter [319:0] INITVAL_24 = 0;
  parameter [319:0] INITVAL_25 = 0;
  parameter [319:0] INITVAL_26 = 0;
  parameter [319:0] INITVAL_27 = 0;
  parameter [319:0] INITVAL_28 = 0;
  parameter [319:0] INITVAL_29 = 0;
  parameter [319:0] INITVAL_2A = 0;
  parameter [319:0] INITVAL_2B = 0;
  parameter [319:0] INITVAL_2C = 0;
  parameter [319:0] INITVAL_2D = 0;
  parameter [319:0] INITVAL_2E = 0;
  parameter [319:0] INITVAL_2F = 0;
  parameter [319:0] INITVAL_30 = 0;
  parameter [319:0] INITVAL_31 = 0;
  parameter [319:0] INITVAL_32 = 0;
  parameter [319:0] INITVAL_33 = 0;
  parameter [319:0] INITVAL_34 = 0;
  parameter [319:0] INITVAL_35 = 0;
  parameter [319:0] INITVAL_36 = 0;
  parameter [319:0] INITVAL_37 = 0;
  parameter [319:0] INITVAL_38 = 0;
  parameter [319:0] INITVAL_39 = 0;
  parameter [319:0] INITVAL_3A = 0;
  parameter [319:0] INITVAL_3B = 0;
  parameter [319:0] INITVAL_3C = 0;
  parameter [319:0] INITVAL_3D = 0;
  parameter [319:0] INITVAL_3E = 0;
  parameter [319:0] INITVAL_3F = 0;

  reg [17:0] words [0:1023];
  wire [35:0] written = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [13:0] address_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] address_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  reg [35:0] read_a, read_b, held_a, held_b;

  integer i;
  initial begin
    if (DATA_WIDTH_A != DATA_WIDTH_B || (DATA_WIDTH_A != 36 && DATA_WIDTH_A != 18 && DATA_WIDTH_A != 9))
      $fatal(1, "DP16KD of widths %d and %d", DATA_WIDTH_A, DATA_WIDTH_B);
    for (i = 0; i < 16; i = i + 1) begin
      words[0 + i] = INITVAL_00[i * 20 +: 18];
      words[16 + i] = INITVAL_01[i * 20 +: 18];
      words[32 + i] = INITVAL_02[i * 20 +: 18];
      words[48 + i] = INITVAL_03[i * 20 +: 18];
      words[64 + i] = INITVAL_04[i * 20 +: 18];
      words[80 + i] = INITVAL_05[i * 20 +: 18];
      words[96 + i] = INITVAL_06[i * 20 +: 18];
      words[112 + i] = INITVAL_07[i * 20 +: 18];
      words[128 + i] = INITVAL_08[i * 20 +: 18];
      words[144 + i] = INITVAL_09[i * 20 +: 18];
      words[160 + i] = INITVAL_0A[i * 20 +: 18];
      words[176 + i] = INITVAL_0B[i * 20 +: 18];
      words[192 + i] = INITVAL_0C[i * 20 +: 18];
      words[208 + i] = INITVAL_0D[i * 20 +: 18];
      words[224 + i] = INITVAL_0E[i * 20 +: 18];
      words[240 + i] = INITVAL_0F[i * 20 +: 18];
      words[256 + i] = INITVAL_10[i * 20 +: 18];
      words[272 + i] = INITVAL_11[i * 20 +: 18];
      words[288 + i] = INITVAL_12[i * 20 +: 18];
      words[304 + i] = INITVAL_13[i * 20 +: 18];
      words[320 + i] = INITVAL_14[i * 20 +: 18];
      words[336 + i] = INITVAL_15[i * 20 +: 18];
      words[352 + i] = INITVAL_16[i * 20 +: 18];
      words[368 + i] = INITVAL_17[i * 20 +: 18];
      words[384 + i] = INITVAL_18[i * 20 +: 18];
      words[400 + i] = INITVAL_19[i * 20 +: 18];
      words[416 + i] = INITVAL_1A[i * 20 +: 18];
      words[432 + i] = INITVAL_1B[i * 20 +: 18];
      words[448 + i] = INITVAL_1C[i * 20 +: 18];
      words[464 + i] = INITVAL_1D[i * 20 +: 18];
      words[480 + i] = INITVAL_1E[i * 20 +: 18];
      words[496 + i] = INITVAL_1F[i * 20 +: 18];
      words[512 + i] = INITVAL_20[i * 20 +: 18];
      words[528 + i] = INITVAL_21[i * 20 +: 18];
      words[544 + i] = INITVAL_22[i * 20 +: 18];
      words[560 + i] = INITVAL_23[i * 20 +: 18];
      words[576 + i] = INITVAL_24[i * 20 +: 18];
      words[592 + i] = INITVAL_25[i * 20 +: 18];
      words[608 + i] = INITVAL_26[i * 20 +: 18];
      words[624 + i] = INITVAL_27[i * 20 +: 18];
      words[640 + i] = INITVAL_28[i * 20 +: 18];
      words[656 + i] = INITVAL_29[i * 20 +: 18];
      words[672 + i] = INITVAL_2A[i * 20 +: 18];
      words[688 + i] = INITVAL_2B[i * 20 +: 18];
      words[704 + i] = INITVAL_2C[i * 20 +: 18];
      words[720 + i] = INITVAL_2D[i * 20 +: 18];
      words[736 + i] = INITVAL_2E[i * 20 +: 18];
      words[752 + i] = INITVAL_2F[i * 20 +: 18];
      words[768 + i] = INITVAL_30[i * 20 +: 18];
      words[784 + i] = INITVAL_31[i * 20 +: 18];
      words[800 + i] = INITVAL_32[i * 20 +: 18];
      words[816 + i] = INITVAL_33[i * 20 +: 18];
      words[832 + i] = INITVAL_34[i * 20 +: 18];
      words[848 + i] = INITVAL_35[i * 20 +: 18];
      words[864 + i] = INITVAL_36[i * 20 +: 18];
      words[880 + i] = INITVAL_37[i * 20 +: 18];
      words[896 + i] = INITVAL_38[i * 20 +: 18];
      words[912 + i] = INITVAL_39[i * 20 +: 18];
      words[928 + i] = INITVAL_3A[i * 20 +: 18];
      words[944 + i] = INITVAL_3B[i * 20 +: 18];
      words[960 + i] = INITVAL_3C[i * 20 +: 18];
      words[976 + i] = INITVAL_3D[i * 20 +: 18];
      words[992 + i] = INITVAL_3E[i * 20 +: 18];
      words[1008 + i] = INITVAL_3F[i * 20 +: 18];
    end
    {read_a, read_b, held_a, held_b} = 0;
  end

  // A word of 36 bits is two of these, one of 9 bits half of one.
  function [35:0] word(input [13:0] address);
    word = DATA_WIDTH_A == 36 ? {words[{address[13:5], 1'b1}], words[{address[13:5], 1'b0}]}
         : DATA_WIDTH_A == 18 ? words[address[13:4]]
         : address[3] ? words[address[13:4]][17:9] : words[address[13:4]][8:0];
  endfunction

  always @(posedge CLKA) begin
    if (CEA) begin
      read_a <= word(address_a);
      if (DATA_WIDTH_A == 36) begin
        // Bytes are enabled by address bits that such words leave free.
        if (address_a[0]) words[{address_a[13:5], 1'b0}][8:0] <= written[8:0];
        if (address_a[1]) words[{address_a[13:5], 1'b0}][17:9] <= written[17:9];
        if (address_a[2]) words[{address_a[13:5], 1'b1}][8:0] <= written[26:18];
        if (address_a[3]) words[{address_a[13:5], 1'b1}][17:9] <= written[35:27];
      end else if (DATA_WIDTH_A == 18) begin
        if (WEA && address_a[0]) words[address_a[13:4]][8:0] <= written[8:0];
        if (WEA && address_a[1]) words[address_a[13:4]][17:9] <= written[17:9];
      end else if (WEA) begin
        if (address_a[3]) words[address_a[13:4]][17:9] <= written[8:0];
        else words[address_a[13:4]][8:0] <= written[8:0];
      end
    end
    if (OCEA) held_a <= read_a;
  end

  always @(posedge CLKB) begin
    if (CEB) read_b <= word(address_b);
    if (CEB && WEB) $fatal(1, "DP16KD that writes by port B");
    if (OCEB) held_b <= read_b;
  end

  wire [35:0] out_a = REGMODE_A == "OUTREG" ? held_a : read_a;
  wire [35:0] out_b = REGMODE_B == "OUTREG" ? held_b : read_b;
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = DATA_WIDTH_A == 36 ? out_b[17:0] : out_a[17:0];
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = DATA_WIDTH_A == 36 ? out_b[35:18] : out_b[17:0];
endmodule

module MULT18X18D(
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  parameter REG_INPUTA_CLK = "NONE";
  parameter REG_INPUTA_CE = "CE0";
  parameter REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE";
  parameter REG_INPUTB_CE = "CE0";
  parameter REG_INPUTB_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE";
  parameter REG_OUTPUT_CE = "CE0";
  parameter REG_OUTPUT_RST = "RST0";
  parameter GSR = "ENABLED";

  reg signed [18:0] held_a = 0, held_b = 0;
  reg [35:0] held_p = 0;
  wire signed [18:0] now_a = {SIGNEDA & A17, A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire signed [18:0] now_b = {SIGNEDB & B17, B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
  wire signed [18:0] a = REG_INPUTA_CLK == "CLK0" ? held_a : now_a;
  wire signed [18:0] b = REG_INPUTB_CLK == "CLK0" ? held_b : now_b;
  wire signed [37:0] product = a * b;
  always @(posedge CLK0) begin
    if (RST0) {held_a, held_b, held_p} <= 0;
    else if (CE0) begin
      held_a <= now_a;
      held_b <= now_b;
      held_p <= product[35:0];
    end
  end
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = REG_OUTPUT_CLK == "CLK0" ? held_p : product[35:0];
endmodule
