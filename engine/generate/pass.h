// A pass: what becomes of a fixed number of rows, as a tape that is planned once, with its graph on CUDA.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "engine/core/standardisation.h"
#include "engine/core/tape.h"
#include "engine/generate/generator.h"
#include "engine/generate/model.h"
#include "engine/generate/sampler.h"
#include "kernels/host/packed_linear.h"

namespace otnfm {

/// What a pass makes of its rows: x1 = F(1, x0) [rows, d] or what the sampler gives, x0 = F(1, .)^-1(x1) [rows, d], log
/// p(x1) [rows, 1].
enum class PassTask { sample, inverse, log_prob };

struct Pass {
  std::int64_t rows = 0;
  View<float> in = {}, out = {};
  std::unique_ptr<Tape> tape = {};
  Graph graph = {};              // CUDA
  std::int64_t evaluations = 0;  // of the network, that a sample takes
};

/// What the passes of one thread read and write beside their weights; it must outlive them.
struct PassMemory {
  PassMemory(const Model& model, Device device, std::int64_t most_rows);

  StandardisationOps source, target;  // Flow::coordinates
  TimeColumns times;
  Memory memory;
  View<float> rows;  // [most rows, d]
};

/// GaussianDensity::Whitening on a device.
struct PassDensity;

/// What all passes of a model share. Any thread may record.
class PassRecorder {
 public:
  PassRecorder(Model model, Device device, const GeneratorOptions& options);
  ~PassRecorder();

  const Model& model() const { return model_; }
  Device device() const { return device_; }
  /// CUDA: some products of a sample or its noise are the GEMM library's.
  bool by_library() const { return by_library_; }
  bool in_closed_form() const { return model_.flow->inversion() == Inversion::closed_form; }

  /// Records a pass over the first rows of the memory and runs it once.
  Pass record(PassTask task, std::int64_t rows, PassMemory& memory, Stream& stream) const;

  /// To be held while the flow is used otherwise: Flow::forward is not const.
  std::mutex& recording() const { return recording_; }

 private:
  Model model_;
  Device device_;
  std::shared_ptr<const Sampler> sampler_;
  bool by_library_ = false;
  mutable std::mutex recording_;
  mutable PackedWeights packed_;
  mutable std::unique_ptr<PassDensity> density_;  // once it is wanted
};

}  // namespace otnfm
