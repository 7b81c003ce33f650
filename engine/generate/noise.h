// x0 for samples, made where the flow runs and without allocation: the numbers of Source::draw, bit for bit on the CPU.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/data/source.h"
#include "kernels/memory.h"
#include "kernels/stream.h"

namespace otnfm {

/// The stream of random numbers that noise for samples is drawn from; training draws have others
/// (engine/data/random_streams.h).
inline constexpr std::uint32_t kSampleStream = 0x5a;

/// One thread uses it at a time. It refers to the source, which must outlive it.
class Noise {
 public:
  /// For at most `rows` rows a call.
  Noise(const Source& source, Device device, std::int64_t rows);

  /// Whether draw() can: a data set's rows are in host memory, so there is no such noise on CUDA.
  bool available() const { return available_; }

  /// Rows first_row .. of the seed's noise to out [n, d] on the stream's device.
  void draw(Stream& stream, std::uint64_t seed, std::int64_t first_row, View<float> out);

 private:
  void draw_fit_on_device(Stream& stream, const RandomKey& key, View<float> out);

  const Source& source_;
  bool available_ = true;
  Memory memory_;       // of what follows, on the device
  View<float> z_;       // gaussian-fit: [rows, width]
  View<float> spread_;  // gaussian-fit on CUDA: [1, d], the diagonal; empty without
  View<float> ones_;    // [rows], beside it
  View<float> mean_, factor_;
  std::vector<std::int64_t> index_;  // of a data set's rows
};

}  // namespace otnfm
