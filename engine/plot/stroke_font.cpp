#include "engine/plot/stroke_font.h"

#include <array>
#include <utility>

namespace otnfm {

namespace {

// A glyph: its width, then strokes apart by blanks, each a row of points "xy", digits 0-9 then a-z for 10 and on. "."
// before a point makes it the control point of a quadratic curve between its neighbours. Heights: descender 0, baseline
// 4, x-height c (12), capitals g (16).
constexpr std::array<const char*, 95> kGlyphs = {
    "4",                                                       // blank
    "0 0g08 0405",                                             // !
    "2 0g0d 2g2d",                                             // "
    "8 3g14 7g54 0c8c 0888",                                   // #
    "8 8d.8g4g.0g0d.0a4a.8a87.8444.0407 4i42",                 // $
    "a 2g.0g0e.0c2c.4c4e.4g2g 88.6866.6484.a4a6.a888 9g14",    // %
    "8 841e.1g3g.5g5e.5c2b.0a07.0434.7489",                    // &
    "0 0g0d",                                                  // '
    "2 2i.0e09.0420",                                          // (
    "2 0i.2e29.2400",                                          // )
    "4 2g2a 0f4b 0b4f",                                        // *
    "6 0969 3c36",                                             // +
    "1 1502",                                                  // ,
    "4 0949",                                                  // -
    "0 0405",                                                  // .
    "5 025h",                                                  // /
    "6 3g.0g0a.0434.646a.6g3g",                                // 0
    "6 1d4g44",                                                // 1
    "6 0d.0g3g.6g6d.6a0464",                                   // 2
    "6 0e.0g3g.6g6d.6a3a2a 3a.6a67.6434.0406",                 // 3
    "6 4g0767 4g44",                                           // 4
    "6 6g0g0b3b.6b68.6434.0406",                               // 5
    "6 6f.6g3g.0g08.0434.6468.6b3b.0b08",                      // 6
    "6 0g6g24",                                                // 7
    "6 3g.0g0d.0a3a.6a6d.6g3g 3a.0a07.0434.6467.6a3a",         // 8
    "6 05.0434.646c.6g3g.0g0c.0939.696c",                      // 9
    "0 0405 0b0c",                                             // :
    "1 1502 1b1c",                                             // ;
    "6 6d0965",                                                // <
    "6 0b6b 0767",                                             // =
    "6 0d6905",                                                // >
    "6 0d.0g3g.6g6d.6a3a38 3435",                              // ?
    "a 6c66.6585.a5aa.ag5g.0g0a.0454 6a.6c4c.2c29.2646.666a",  // @
    "8 044g84 1777",                                           // A
    "8 040g5g.8g8d.8a5a0a 5a.8a87.845404",                     // B
    "8 8d.8g4g.0g0a.0444.8487",                                // C
    "8 040g4g.8g8a.844404",                                    // D
    "7 7g0g0474 0a6a",                                         // E
    "7 7g0g04 0a6a",                                           // F
    "8 8d.8g4g.0g0a.0444.84888959",                            // G
    "8 0g04 8g84 0a8a",                                        // H
    "0 0g04",                                                  // I
    "6 6g67.6434.0407",                                        // J
    "8 0g04 8g0a 3c84",                                        // K
    "7 0g0474",                                                // L
    "a 040g58aga4",                                            // M
    "8 040g848g",                                              // N
    "8 4g.0g0a.0444.848a.8g4g",                                // O
    "8 040g5g.8g8c.885808",                                    // P
    "8 4g.0g0a.0444.848a.8g4g 5793",                           // Q
    "8 040g5g.8g8c.885808 4884",                               // R
    "8 8d.8g4g.0g0d.0a4a.8a87.8444.0407",                      // S
    "8 0g8g 4g44",                                             // T
    "8 0g08.0444.84888g",                                      // U
    "8 0g448g",                                                // V
    "c 0g346f94cg",                                            // W
    "8 0g84 8g04",                                             // X
    "8 0g4a8g 4a44",                                           // Y
    "8 0g8g0484",                                              // Z
    "2 2i0i0020",                                              // [
    "5 0h52",                                                  // backslash
    "2 0i2i2000",                                              // ]
    "6 0d3g6d",                                                // ^
    "6 0363",                                                  // _
    "1 0g1e",                                                  // `
    "6 3c.0c08.0434.6468.6c3c 6c64",                           // a
    "6 3c.0c08.0434.6468.6c3c 0g04",                           // b
    "6 6a.6c3c.0c08.0434.6466",                                // c
    "6 3c.0c08.0434.6468.6c3c 6g64",                           // d
    "6 0868.6c3c.0c08.0434.5465",                              // e
    "4 4g.2g2d24 0c4c",                                        // f
    "6 3c.0c08.0434.6468.6c3c 6c63.6030.1011",                 // g
    "6 0g04 08.0c3c.6c6964",                                   // h
    "0 0c04 0f0g",                                             // i
    "2 2c22.2000 2f2g",                                        // j
    "6 0g04 5c07 2964",                                        // k
    "2 0g06.0424",                                             // l
    "a 0c04 08.0c3c.5c5954 58.5c8c.aca9a4",                    // m
    "6 0c04 08.0c3c.6c6964",                                   // n
    "6 3c.0c08.0434.6468.6c3c",                                // o
    "6 3c.0c08.0434.6468.6c3c 0c00",                           // p
    "6 3c.0c08.0434.6468.6c3c 6c60",                           // q
    "4 0c04 08.0c4c",                                          // r
    "6 6b.6c3c.0c0a.0838.6866.6434.0405",                      // s
    "4 2f26.2444 0c4c",                                        // t
    "6 0c07.0434.6468 6c64",                                   // u
    "6 0c346c",                                                // v
    "8 0c244b648c",                                            // w
    "6 0c64 6c04",                                             // x
    "6 0c34 6c34.2000",                                        // y
    "6 0c6c0464",                                              // z
    "3 3i.1i1f1c.1909.191613.1030",                            // {
    "0 0i00",                                                  // |
    "3 0i.2i2f2c.2939.292623.2000",                            // }
    "6 08.1b39.576a",                                          // ~
};
constexpr std::pair<std::string_view, const char*> kBeyondAscii[] = {
    {"\u2192", "a 09a9 7ca976"},
    {"\u00b7", "1 091a 190a"},
    {"\u00b1", "6 0a6a 3d37 0464"},
};
constexpr const char* kMissing = "6 040g6g6404";
constexpr float kUnitsPerEm = 12 / 0.7f;
constexpr float kGap = 3;  // between glyphs, in units

int digit(char c) {
  return c <= '9' ? c - '0' : c - 'a' + 10;
}

// The glyph at the beginning of `text`, which loses its bytes.
const char* next_glyph(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  std::size_t length = 1;
  if (lead >= 0xc0) {
    while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) ++length;
  }
  const std::string_view character = text.substr(0, length);
  text.remove_prefix(length);
  if (lead >= ' ' && lead <= '~') return kGlyphs[lead - ' '];
  for (const auto& [known, glyph] : kBeyondAscii)
    if (character == known) return glyph;
  return kMissing;
}

struct Pen {
  std::vector<Segment>& segments;
  float x, y, unit;  // of the glyph's origin, and pixels a unit

  void segment(float x0, float y0, float x1, float y1) const {
    segments.push_back({x + x0 * unit, y - (y0 - 4) * unit, x + x1 * unit, y - (y1 - 4) * unit});
  }
  void curve(float x0, float y0, float cx, float cy, float x1, float y1) const {
    constexpr int kPieces = 7;
    float last_x = x0, last_y = y0;
    for (int i = 1; i <= kPieces; ++i) {
      const float t = static_cast<float>(i) / kPieces, s = 1 - t;
      const float next_x = s * s * x0 + 2 * s * t * cx + t * t * x1, next_y = s * s * y0 + 2 * s * t * cy + t * t * y1;
      segment(last_x, last_y, next_x, next_y);
      last_x = next_x;
      last_y = next_y;
    }
  }
};

void draw(const char* glyph, const Pen& pen) {
  bool started = false, has_control = false;
  float x = 0, y = 0, control_x = 0, control_y = 0;
  for (const char* at = glyph + 1; *at != '\0';) {
    if (*at == ' ') {
      started = false;
      ++at;
      continue;
    }
    const bool is_control = *at == '.';
    at += is_control;
    const auto next_x = static_cast<float>(digit(at[0])), next_y = static_cast<float>(digit(at[1]));
    at += 2;
    if (is_control) {
      control_x = next_x;
      control_y = next_y;
      has_control = true;
      continue;
    }
    if (started && has_control)
      pen.curve(x, y, control_x, control_y, next_x, next_y);
    else if (started)
      pen.segment(x, y, next_x, next_y);
    started = true;
    has_control = false;
    x = next_x;
    y = next_y;
  }
}

}  // namespace

std::vector<PlacedGlyph> place_glyphs(std::string_view text, float x, float y, float size) {
  const float unit = size / kUnitsPerEm;
  std::vector<PlacedGlyph> glyphs;
  while (!text.empty()) {
    const char* glyph = next_glyph(text);
    draw(glyph, {glyphs.emplace_back().segments, x, y, unit});
    x += (static_cast<float>(digit(glyph[0])) + kGap) * unit;
  }
  return glyphs;
}

float stroke_text_width(std::string_view text, float size) {
  float units = 0;
  while (!text.empty()) units += static_cast<float>(digit(next_glyph(text)[0])) + kGap;
  return units == 0 ? 0 : (units - kGap) * size / kUnitsPerEm;
}

}  // namespace otnfm
