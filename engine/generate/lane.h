// Lane: all that one thread of a generator writes to, and how it parts its rows among passes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "engine/generate/generator.h"
#include "engine/generate/noise.h"
#include "engine/generate/pass.h"

namespace otnfm {

/// The largest pass that there is.
inline constexpr std::int64_t kMostPassRows = 65536;

class Lane {
 public:
  /// Records the passes of all tasks that a context for `max_batch` rows is for. The recorder must outlive it.
  Lane(const PassRecorder& recorder, std::int64_t max_batch, const PrepareOptions& options);

  Stream& stream() { return stream_; }
  Noise& noise() { return noise_; }
  std::int64_t most_rows() const { return sizes_.back(); }
  /// Network evaluations a sample.
  std::int64_t nfe() const { return passes_of(PassTask::sample).front().evaluations; }

  /// fill(pass, begin, count) puts rows begin .. begin + count - 1 into the pass; what becomes of them goes to out's.
  template <class Fill>
  void run(PassTask task, const View<float>& out, const Fill& fill) {
    const std::int64_t n = out.rows();
    const std::size_t row_bytes = static_cast<std::size_t>(out.columns()) * sizeof(float);
    for (std::int64_t begin = 0; begin < n;) {
      const Pass& pass = pass_for(task, n - begin);
      const std::int64_t count = std::min(pass.rows, n - begin);
      fill(pass, begin, count);
      if (pass.graph)
        pass.graph.launch(stream_);
      else
        pass.tape->run(stream_);
      copy_bytes(stream_, out.row(begin), pass.out.data, static_cast<std::size_t>(count) * row_bytes);
      begin += count;
    }
  }

 private:
  const std::vector<Pass>& passes_of(PassTask task) const { return passes_[static_cast<std::size_t>(task)]; }
  const Pass& pass_for(PassTask task, std::int64_t left) const;

  std::vector<std::int64_t> sizes_;  // of passes, ascending
  PassMemory memory_;
  Stream stream_;
  Noise noise_;
  std::array<std::vector<Pass>, 3> passes_;  // by task
};

}  // namespace otnfm
