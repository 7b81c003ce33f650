// A primitive convolves a few images on one thread, and threads share the images: the library's own threads are
// OpenMP's (kernels/host/parallel.h says why not). In float32 a primitive takes one image, at no loss (measured from
// 7x7x64 to 32x32x128: 200 to 270 GFLOP/s a thread where 64 images at once give 190 to 250), so that an image stays in
// the cache and its result depends on it alone. In bfloat16 it takes eight, where one would halve the speed of AMX.
//
// Weights are brought into the layout that the primitive asks for at each call: once a step and pass, 8 bytes a weight,
// which are nothing beside 2 H' W' FLOPs a weight and image. Where the processor has no bfloat16 instructions, images
// and weights are converted, and the primitives are float32's. Memory that does not start at 16 bytes is copied to
// where it does: the library's code for SSE takes no other.
#include "kernels/cpu/library/onednn_convolution.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <unordered_map>

#include "kernels/cpu/library/onednn.h"
#include "kernels/cpu/library/onednn_engine.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu::onednn {
namespace {

using dnnl::memory;

enum class Pass : std::uint8_t { forward, backward_data, backward_weight };

struct ConvolutionKey {
  Convolution convolution;
  Pass pass;
  bool operator==(const ConvolutionKey&) const = default;
};
struct ConvolutionHash {
  std::size_t operator()(const ConvolutionKey& key) const {
    const Convolution& n = key.convolution;
    std::uint64_t h = static_cast<std::uint64_t>(key.pass) << 4 ^ static_cast<std::uint64_t>(n.dtype) << 8 ^
                      static_cast<std::uint64_t>(n.result_dtype) << 16 ^ std::uint64_t{n.bias} << 1 ^
                      std::uint64_t{n.added};
    for (std::int64_t word : {n.B, n.H, n.W, n.C, n.O, n.k, n.stride})
      h = (h ^ static_cast<std::uint64_t>(word)) * 0x9e3779b97f4a7c15u, h ^= h >> 32;
    return static_cast<std::size_t>(h);
  }
};

/// A primitive for n.B images, and the layouts that it asks for. `weight` is the library's, `plain_weight` ours.
struct PreparedConvolution {
  dnnl::primitive primitive;
  memory::desc image, weight, plain_weight, bias, result, scratchpad;
};

memory::data_type type_of(DType dtype) {
  return dtype == DType::bfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
}

PreparedConvolution prepare(const ConvolutionKey& key) {
  const Convolution& n = key.convolution;
  const memory::data_type type = type_of(n.dtype), f32 = memory::data_type::f32;
  const bool backward_weight = key.pass == Pass::backward_weight;
  using tag = memory::format_tag;
  const memory::desc image({n.B, n.C, n.H, n.W}, type, tag::nhwc);
  const memory::desc result({n.B, n.O, n.rows(), n.columns()}, type_of(n.result_dtype), tag::nhwc);
  const memory::dims filter = {n.O, n.C, n.k, n.k};
  const memory::desc any_weight(filter, backward_weight ? f32 : type, tag::any);
  const memory::desc plain_weight(filter, backward_weight ? f32 : type, tag::ohwi);
  const memory::desc bias = n.bias ? memory::desc({n.O}, f32, tag::x) : memory::desc();
  const auto padding_after = [&](std::int64_t from, std::int64_t to) {
    return (to - 1) * n.stride + n.k - from - n.k / 2;
  };
  const memory::dims strides = {n.stride, n.stride}, before = {n.k / 2, n.k / 2};
  // An even image at stride 2 leaves its last zeros unread: the library wants that said as padding below 0 at most.
  const memory::dims after = {padding_after(n.H, n.rows()), padding_after(n.W, n.columns())};
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::primitive_attr forward_attributes = attributes;
  if (n.added) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    forward_attributes.set_post_ops(sum);
  }
  const auto direct = dnnl::algorithm::convolution_direct;
  const auto training = dnnl::prop_kind::forward_training;
#if DNNL_VERSION_MAJOR >= 3
  const auto forward_for = [&](const memory::desc& b, const dnnl::primitive_attr& with) {
    return dnnl::convolution_forward::primitive_desc(cpu_engine(), training, direct, image,
                                                     memory::desc(filter, type, tag::any), b, result, strides, before,
                                                     after, with);
  };
#else
  const auto forward_for = [&](const memory::desc& b, const dnnl::primitive_attr& with) {
    return dnnl::convolution_forward::primitive_desc(
        dnnl::convolution_forward::desc(training, direct, image, memory::desc(filter, type, tag::any), b, result,
                                        strides, before, after),
        with, cpu_engine());
  };
#endif
  switch (key.pass) {
    case Pass::forward: {
      const auto description = forward_for(bias, forward_attributes);
      return {dnnl::convolution_forward(description), image, description.weights_desc(), plain_weight, bias, result,
              description.scratchpad_desc()};
    }
    case Pass::backward_data: {
#if DNNL_VERSION_MAJOR >= 3
      const dnnl::convolution_backward_data::primitive_desc description(cpu_engine(), direct, image, any_weight, result,
                                                                        strides, before, after,
                                                                        forward_for({}, attributes), attributes);
#else
      const dnnl::convolution_backward_data::primitive_desc description(
          dnnl::convolution_backward_data::desc(direct, image, any_weight, result, strides, before, after), attributes,
          cpu_engine(), forward_for({}, attributes));
#endif
      return {dnnl::convolution_backward_data(description),
              image,
              description.weights_desc(),
              plain_weight,
              {},
              result,
              description.scratchpad_desc()};
    }
    case Pass::backward_weight: {
#if DNNL_VERSION_MAJOR >= 3
      const dnnl::convolution_backward_weights::primitive_desc description(cpu_engine(), direct, image, any_weight,
                                                                           bias, result, strides, before, after,
                                                                           forward_for({}, attributes), attributes);
#else
      const dnnl::convolution_backward_weights::primitive_desc description(
          n.bias ? dnnl::convolution_backward_weights::desc(direct, image, any_weight, bias, result, strides, before,
                                                            after)
                 : dnnl::convolution_backward_weights::desc(direct, image, any_weight, result, strides, before, after),
          attributes, cpu_engine(), forward_for({}, attributes));
#endif
      return {dnnl::convolution_backward_weights(description),
              image,
              description.diff_weights_desc(),
              plain_weight,
              bias,
              result,
              description.scratchpad_desc()};
    }
  }
  throw RunError("no such pass of a convolution");
}

// More shapes than any program of ours has; beyond it, all are forgotten.
constexpr std::size_t kMostConvolutions = 2048;

using Shapes = std::unordered_map<ConvolutionKey, PreparedConvolution, ConvolutionHash>;

/// The calling thread's; its helpers read them until the call is over.
Shapes& known_shapes() {
  static thread_local Shapes shapes;
  return shapes;
}

/// It stays where it is until the shapes are forgotten, which happens between two calls.
const PreparedConvolution& prepared(const Convolution& n, Pass pass) {
  Shapes& shapes = known_shapes();
  const ConvolutionKey key{n, pass};
  if (const auto found = shapes.find(key); found != shapes.end()) return found->second;
  const OneLibraryThread one_thread;
  return shapes.emplace(key, prepare(key)).first->second;
}

/// Memory of the calling thread that only grows: layouts of weights, the threads' scratch memory, partial sums.
class Arena {
 public:
  /// From here on take() gives `bytes` in all.
  void open(std::size_t bytes) {
    if (bytes > bytes_) {
      memory_.reset();
      memory_.reset(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{kLine})));
      bytes_ = bytes;
    }
    taken_ = 0;
  }
  std::byte* take(std::size_t bytes) {
    std::byte* const at = memory_.get() + taken_;
    taken_ += bytes;
    return at;
  }
  static constexpr std::size_t kLine = 64;
  /// Bytes in whole cache lines, and one more, so that neighbours do not share one.
  static std::size_t rounded(std::size_t bytes) { return (bytes + kLine - 1) / kLine * kLine + kLine; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{kLine}); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t bytes_ = 0, taken_ = 0;
};

Arena& arena() {
  static thread_local Arena memory;
  return memory;
}

void to_floats(const bfloat16* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
}
void to_bfloat16(const float* from, bfloat16* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = bfloat16(from[i]);
}

bool starts_at_16(const void* memory) {
  return reinterpret_cast<std::uintptr_t>(memory) % 16 == 0;
}

/// `count` numbers of `type` to or from the library's memory: as floats where they are converted, or as they are.
void bring(const void* from, DType type, bool converted, std::int64_t count, void* to) {
  if (converted && type == DType::bfloat16)
    to_floats(static_cast<const bfloat16*>(from), static_cast<float*>(to), count);
  else
    std::memcpy(to, from, static_cast<std::size_t>(count) * size_of(type));
}
void fetch(const void* from, DType type, bool converted, std::int64_t count, void* to) {
  if (converted && type == DType::bfloat16)
    to_bfloat16(static_cast<const float*>(from), static_cast<bfloat16*>(to), count);
  else
    std::memcpy(to, from, static_cast<std::size_t>(count) * size_of(type));
}

/// What the primitives compute for n: itself, or in float32 where there are no bfloat16 instructions.
Convolution by_primitives(Convolution n) {
  if (n.dtype == DType::bfloat16 && !has_bfloat16()) n.dtype = n.result_dtype = DType::float32;
  return n;
}

constexpr std::int64_t kImagesAtOnce = 8;          // bfloat16
constexpr double kConvolutionWorkAPart = 1 << 18;  // multiply-adds, of some 5 us

/// Copies weights from one layout to another.
void reorder(const memory::desc& from_layout, const void* from, const memory::desc& to_layout, void* to) {
  memory source(from_layout, cpu_engine(), const_cast<void*>(from)), target(to_layout, cpu_engine(), to);
  dnnl::reorder(source, target).execute(queue(), source, target);
}

std::string describe(const Convolution& n) {
  return std::to_string(n.B) + "x" + std::to_string(n.H) + "x" + std::to_string(n.W) + "x" + std::to_string(n.C) +
         " to " + std::to_string(n.O) + " channels";
}

template <class Body>
void guarded(const Convolution& n, const Body& body) {
  if (known_shapes().size() >= kMostConvolutions) known_shapes().clear();
  try {
    body();
  } catch (const dnnl::error& error) {
    throw RunError("oneDNN failed at a convolution of " + describe(n) + ": " + error.what());
  }
}

/// forward: from = x, to = y. backward_data: from = dy, to = dx.
void convolve_images(const Convolution& n, Pass pass, const void* from, const void* weight, const float* bias,
                     const void* added, void* to) {
  const bool forward = pass == Pass::forward;
  Convolution part = by_primitives(n);
  const bool converted = part.dtype != n.dtype, staged = converted || !starts_at_16(from) || !starts_at_16(to);
  const DType from_type = n.dtype, to_type = forward ? n.result_dtype : n.dtype;
  const std::int64_t at_once = n.dtype == DType::float32 ? 1 : std::min(kImagesAtOnce, n.B);
  const std::int64_t from_size = forward ? n.image_size() : n.result_size();
  const std::int64_t to_size = forward ? n.result_size() : n.image_size();
  const std::int64_t groups = (n.B + at_once - 1) / at_once, rest = n.B % at_once;
  part.B = at_once;
  const PreparedConvolution& whole = prepared(part, pass);
  part.B = rest == 0 ? at_once : rest;
  const PreparedConvolution& last = prepared(part, pass);
  // Both are of one layout of weights but for what the library may think of few images; then the last has its own.
  const bool one_layout = whole.weight == last.weight;
  const std::size_t weight_bytes = Arena::rounded(whole.weight.get_size());
  const std::size_t last_bytes = one_layout ? 0 : Arena::rounded(last.weight.get_size());
  const std::size_t scratch_bytes = Arena::rounded(std::max(whole.scratchpad.get_size(), last.scratchpad.get_size()));
  const std::size_t image_bytes = staged ? Arena::rounded(sizeof(float) * at_once * from_size) : 0;
  const std::size_t result_bytes = staged ? Arena::rounded(sizeof(float) * at_once * to_size) : 0;
  const int threads = host::thread_count();
  Arena& memory_of_call = arena();
  const std::size_t converted_bytes = converted ? Arena::rounded(sizeof(float) * n.weight_size()) : 0;
  const std::size_t bias_bytes = Arena::rounded(sizeof(float) * n.O);
  memory_of_call.open(weight_bytes + last_bytes + converted_bytes + bias_bytes +
                      static_cast<std::size_t>(threads) * (scratch_bytes + image_bytes + result_bytes));
  if (converted) {
    float* const floats = reinterpret_cast<float*>(memory_of_call.take(converted_bytes));
    to_floats(static_cast<const bfloat16*>(weight), floats, n.weight_size());
    weight = floats;
  }
  float* const own_bias = reinterpret_cast<float*>(memory_of_call.take(bias_bytes));
  if (n.bias && !starts_at_16(bias)) bias = std::copy(bias, bias + n.O, own_bias) - n.O;
  const OneLibraryThread one_thread;
  const auto in_layout = [&](const PreparedConvolution& p, std::size_t bytes) -> const void* {
    const bool plain = p.weight == p.plain_weight;
    if (plain && starts_at_16(weight)) return weight;
    void* const memory = memory_of_call.take(bytes);
    if (plain)
      std::memcpy(memory, weight, static_cast<std::size_t>(n.weight_size()) * size_of(part.dtype));
    else
      reorder(p.plain_weight, weight, p.weight, memory);
    return memory;
  };
  const void* const whole_weight = in_layout(whole, weight_bytes);
  const void* const last_weight = one_layout ? whole_weight : in_layout(last, last_bytes);
  std::byte* const workers = memory_of_call.take(0);

  const double work = 1.0 * static_cast<double>(at_once * n.result_size()) * static_cast<double>(n.k * n.k * n.C);
  const auto grain = static_cast<std::int64_t>(std::max(1.0, kConvolutionWorkAPart / work));
  host::parallel_numbered_ranges(groups, grain, [&](int number, std::int64_t begin, std::int64_t end) {
    const OneLibraryThread alone;
    std::byte* const own = workers + static_cast<std::size_t>(number) * (scratch_bytes + image_bytes + result_bytes);
    float* const image = reinterpret_cast<float*>(own + scratch_bytes);
    float* const result = reinterpret_cast<float*>(own + scratch_bytes + image_bytes);
    const auto run = [&](const PreparedConvolution& p, const void* layout, std::int64_t first,
                         std::int64_t last_group) {
      if (first >= last_group) return;
      const dnnl::engine& engine = cpu_engine();
      memory in(forward ? p.image : p.result, engine, image), out(forward ? p.result : p.image, engine, result);
      const memory weights(p.weight, engine, const_cast<void*>(layout)), scratch(p.scratchpad, engine, own);
      std::unordered_map<int, memory> arguments;
      if (forward) {
        arguments = {
            {DNNL_ARG_SRC, in}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, out}, {DNNL_ARG_SCRATCHPAD, scratch}};
        if (n.bias) arguments.emplace(DNNL_ARG_BIAS, memory(p.bias, engine, const_cast<float*>(bias)));
      } else {
        arguments = {{DNNL_ARG_DIFF_DST, in},
                     {DNNL_ARG_WEIGHTS, weights},
                     {DNNL_ARG_DIFF_SRC, out},
                     {DNNL_ARG_SCRATCHPAD, scratch}};
      }
      for (std::int64_t group = first; group < last_group; ++group) {
        const std::int64_t begin_image = group * at_once, images = std::min(at_once, n.B - begin_image);
        const void* const source = advance(from, from_type, begin_image * from_size);
        void* const target = advance(to, to_type, begin_image * to_size);
        const std::int64_t count = images * to_size;
        if (staged) {
          bring(source, from_type, converted, images * from_size, image);
        } else {
          in.set_data_handle(const_cast<void*>(source));
          out.set_data_handle(target);
        }
        if (n.added) {
          const void* const add = advance(added, to_type, begin_image * to_size);
          if (staged)
            bring(add, to_type, converted, count, result);
          else if (add != target)
            std::memcpy(target, add, static_cast<std::size_t>(count) * size_of(to_type));
        }
        p.primitive.execute(queue(), arguments);
        if (staged) fetch(result, to_type, converted, count, target);
      }
    };
    const std::int64_t full = rest == 0 ? end : std::min(end, groups - 1);
    run(whole, whole_weight, begin, full);
    run(last, last_weight, std::max(begin, full), end);
  });
}

}  // namespace

void convolve(const Convolution& n, const void* x, const void* weight, const float* bias, const void* added, void* y) {
  guarded(n, [&] { convolve_images(n, Pass::forward, x, weight, bias, added, y); });
}

void convolve_backward_data(const Convolution& n, const void* dy, const void* weight, void* dx) {
  guarded(n, [&] { convolve_images(n, Pass::backward_data, dy, weight, nullptr, nullptr, dx); });
}

// The images are cut into parts that depend on their number alone; each part has its own sum, and the sums are added in
// order.
void convolve_backward_weight(const Convolution& n, const void* x, const void* dy, float* dweight, float* dbias) {
  constexpr std::int64_t kMostSums = 16, kImagesASum = 8;
  constexpr std::int64_t kMostBytes = std::int64_t{128} << 20;  // of all sums
  guarded(n, [&] {
    Convolution part = by_primitives(n);
    const bool converted = part.dtype != n.dtype, staged = converted || !starts_at_16(x) || !starts_at_16(dy);
    const std::int64_t affordable = std::max<std::int64_t>(1, kMostBytes / (n.weight_size() * 4));
    const std::int64_t sums = std::min({kMostSums, (n.B + kImagesASum - 1) / kImagesASum, affordable});
    const std::int64_t most = (n.B + sums - 1) / sums, least = n.B / sums;
    part.B = most;
    const PreparedConvolution& larger = prepared(part, Pass::backward_weight);
    part.B = least;
    const PreparedConvolution& smaller = prepared(part, Pass::backward_weight);
    if (!(larger.weight == smaller.weight))
      throw RunError("oneDNN has layouts that depend on the number of images, for " + describe(n));
    const std::size_t weight_bytes = Arena::rounded(larger.weight.get_size());
    const std::size_t bias_bytes = Arena::rounded(sizeof(float) * n.O), sum_bytes = weight_bytes + bias_bytes;
    const std::size_t scratch_bytes =
        Arena::rounded(std::max(larger.scratchpad.get_size(), smaller.scratchpad.get_size()));
    const std::size_t image_bytes = staged ? Arena::rounded(sizeof(float) * most * n.image_size()) : 0;
    const std::size_t result_bytes = staged ? Arena::rounded(sizeof(float) * most * n.result_size()) : 0;
    const std::size_t worker_bytes = scratch_bytes + image_bytes + result_bytes;
    const int threads = host::thread_count();
    Arena& memory_of_call = arena();
    memory_of_call.open(static_cast<std::size_t>(sums) * sum_bytes + static_cast<std::size_t>(threads) * worker_bytes);
    std::byte* const all_sums = memory_of_call.take(static_cast<std::size_t>(sums) * sum_bytes);
    std::byte* const workers = memory_of_call.take(0);
    host::parallel_numbered_ranges(sums, 1, [&](int number, std::int64_t begin, std::int64_t end) {
      const OneLibraryThread alone;
      const dnnl::engine& engine = cpu_engine();
      std::byte* const own = workers + static_cast<std::size_t>(number) * worker_bytes;
      float* const image = reinterpret_cast<float*>(own + scratch_bytes);
      float* const result = reinterpret_cast<float*>(own + scratch_bytes + image_bytes);
      for (std::int64_t sum = begin; sum < end; ++sum) {
        const std::int64_t first = n.B * sum / sums, images = n.B * (sum + 1) / sums - first;
        const PreparedConvolution& p = images == most ? larger : smaller;
        const void* const source = advance(x, n.dtype, first * n.image_size());
        const void* const gradient = advance(dy, n.dtype, first * n.result_size());
        if (staged) {
          bring(source, n.dtype, converted, images * n.image_size(), image);
          bring(gradient, n.dtype, converted, images * n.result_size(), result);
        }
        std::byte* const to = all_sums + static_cast<std::size_t>(sum) * sum_bytes;
        std::unordered_map<int, memory> arguments = {
            {DNNL_ARG_SRC, memory(p.image, engine, staged ? image : const_cast<void*>(source))},
            {DNNL_ARG_DIFF_DST, memory(p.result, engine, staged ? result : const_cast<void*>(gradient))},
            {DNNL_ARG_DIFF_WEIGHTS, memory(p.weight, engine, to)},
            {DNNL_ARG_SCRATCHPAD, memory(p.scratchpad, engine, own)}};
        if (n.bias) arguments.emplace(DNNL_ARG_DIFF_BIAS, memory(p.bias, engine, to + weight_bytes));
        p.primitive.execute(queue(), arguments);
      }
    });
    const auto floats_of = [&](std::int64_t sum, std::size_t skip) {
      return reinterpret_cast<float*>(all_sums + static_cast<std::size_t>(sum) * sum_bytes + skip);
    };
    const auto add_up = [&](std::size_t skip, std::int64_t count, float* into) {
      host::parallel_ranges(count, host::kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t sum = 0; sum < sums; ++sum) {
          const float* const from = floats_of(sum, skip);
          if (sum == 0 && into != from) std::copy(from + begin, from + end, into + begin);
          if (sum > 0)
            for (std::int64_t i = begin; i < end; ++i) into[i] += from[i];
        }
      });
    };
    const bool plain = larger.weight == larger.plain_weight;
    float* const total = plain ? dweight : floats_of(0, 0);
    add_up(0, static_cast<std::int64_t>(larger.weight.get_size() / sizeof(float)), total);
    if (!plain) {
      const OneLibraryThread alone;
      reorder(larger.weight, total, larger.plain_weight, dweight);
    }
    if (n.bias) add_up(weight_bytes, n.O, dbias);
  });
}

}  // namespace otnfm::cpu::onednn
