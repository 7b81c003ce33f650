// Generator: samples of a trained flow, F(1, x0) by one network evaluation each unless another sampler is asked for,
// for programs that must not wait; and the way back, noise and likelihood of data, where the family has it.
//
//     const Generator generator = Generator::load("model.safetensors", Device::cpu);   // once; any thread may use it
//     GeneratorContext context = generator.prepare(64);                                // one a thread
//     context.sample(nullptr, seed, 0, out);                // no allocation, no lock, no log
//
// Noise, samples and likelihood are in the data's own coordinates, whatever the flow was trained in
// (Flow::coordinates).
//
// Sample i of a seed is the same bit for bit, however a request is split into calls and whatever number of threads or
// contexts make it: every row is computed by itself (kernels/resnet_flow.h, kernels/host/packed_linear.h), or, on CUDA
// where a GEMM library computes, all rows in passes of one size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "engine/generate/sampler_choice.h"
#include "kernels/precision.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace otnfm {

struct Model;        // engine/generate/model.h
class Sampler;       // engine/generate/sampler.h
class PassRecorder;  // engine/generate/pass.h
class GeneratorContext;

struct GeneratorOptions {
  Precision precision = Precision::float32;     ///< of the matrix products
  std::shared_ptr<const Sampler> sampler = {};  ///< null: the model's own, F(1, x0) of a map
  SamplerChoice choice = {};                    ///< of that one; InputError where it is a map
};

/// What a context is for, beside samples. InputError where the family has no inverse (it says which have), the products
/// are not float32, or, for log_prob, where the source has no density or the family no log-determinant at this d.
struct PrepareOptions {
  int threads = 1;        ///< CPU: a call parts its rows among so many threads, 0 among host::thread_count()
  bool inverse = false;   ///< GeneratorContext::inverse
  bool log_prob = false;  ///< GeneratorContext::log_prob
};

/// Cheap to copy: copies share the weights. Everything is const and may be called by several threads at once.
class Generator {
 public:
  using Options = GeneratorOptions;

  /// Reads model.safetensors onto the device. InputError where the file is wrong, RunError where the device is not
  /// there or memory does not suffice.
  static Generator load(const std::filesystem::path& path, Device device, const Options& options = {});

  /// Takes a model over, whose parameters are on `device`.
  Generator(Model model, Device device, const Options& options = {});

  Device device() const;
  std::int64_t dimension() const;
  /// Of a sample: [d], or [height, width, channels] of an image, whose numbers lie in that order; n of them are
  /// [n, height, width, channels].
  std::vector<std::int64_t> sample_shape() const;
  const Model& model() const;

  /// What one thread needs for `max_batch` rows at a time. Allocates everything, runs and captures everything once.
  /// With several threads the one that makes the first call pays for the start of the others. InputError for
  /// max_batch < 1, and as PrepareOptions says.
  GeneratorContext prepare(std::int64_t max_batch, const PrepareOptions& options = {}) const;

  /// x0 of samples first_row .. first_row + n - 1 of this seed, into host memory [n, d]. Allocates.
  void noise(std::uint64_t seed, std::int64_t first_row, View<float> out) const;

 private:
  std::shared_ptr<const PassRecorder> recorder_;
};

/// One call at a time. It keeps the weights alive, so the Generator may go before it.
///
/// `stream`, on CUDA: a cudaStream_t that the work is put on; the call returns before it is done, and the next call may
/// use another stream only after that. Null: a stream of the context's own. Ignored on the CPU. Views are rows
/// contiguous and on the generator's device; on CUDA they may also be in host memory, which makes the call wait.
class GeneratorContext {
 public:
  ~GeneratorContext();
  GeneratorContext(GeneratorContext&&) noexcept;
  GeneratorContext& operator=(GeneratorContext&&) noexcept;

  /// Samples first_row .. first_row + n - 1 of this seed to out [n, d]; more rows than max_batch are made in several
  /// passes. InputError for another shape, and on CUDA where the model's source is a data set, whose rows are on the
  /// host: then draw them by Generator::noise.
  void sample(CUstream_st* stream, std::uint64_t seed, std::int64_t first_row, View<float> out);

  /// out = F(1, x0), or what the sampler makes of x0, both [n, d]. They may be the same memory.
  void sample(CUstream_st* stream, View<const float> x0, View<float> out);

  /// Network evaluations that a sample takes, as they were recorded.
  std::int64_t nfe() const;

  // The way back. In closed form (families `coupling`, `coupling-spline`) all that is said above holds: no allocation,
  // no waiting, the same numbers for any split; y is not looked through for NaN. By a fixed point (`gru`,
  // `resnet-invertible`) a call goes on until every row has converged (layers/maps/inverse.h, at its default
  // tolerance), so it waits, allocates some vectors of its rows' size, and a row's last bits depend on the others; on
  // CUDA the rows go by way of the host. It throws InputError where y is not finite and RunError where a block does not
  // converge.

  /// x0 with F(1, x0) = y, both [n, d]; they may be the same memory. InputError where the context was not prepared for
  /// it.
  void inverse(CUstream_st* stream, View<const float> y, View<float> x0);

  /// log p(y) in nats of each row, float32. y [n, d] -> out [n]. By a fixed point log|det| is by LU up to d = 64 and
  /// above it an unbiased estimate, always with the same random numbers (layers/maps/log_determinant.h).
  void log_prob(CUstream_st* stream, View<const float> y, View<float> out);

  /// Waits for the work on the context's own stream.
  void synchronize();

  struct State;

 private:
  friend class Generator;
  explicit GeneratorContext(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace otnfm
