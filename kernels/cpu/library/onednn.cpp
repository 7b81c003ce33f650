// Matrix products as oneDNN `matmul` primitives with bias, accumulation and activation as post-ops. A primitive is code
// generated for one shape, which takes milliseconds, so each thread keeps those it has made: finding one again takes
// some 30 ns, running it under a microsecond. Against dnnl_sgemm on two Zen 4 cores: 10 to 12 us a product
// of 256x64x64 where sgemm needs 10 to 14, and bias, activation and accumulation are free.
//
// Each product runs on one thread: larger ones are cut here, into rows or columns of the result, because the library's
// own threads are OpenMP's (kernels/host/parallel.h says why not).
#include "kernels/cpu/library/onednn.h"

#include <algorithm>
#include <dnnl.hpp>
#include <memory>
#include <unordered_map>

#include "kernels/cpu/library/onednn_engine.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu::onednn {
namespace {

using dnnl::memory;

// What the thread's primitives were made for: a product, and how many share the scratch memory.
struct Key {
  Gemm gemm;
  int parts;
  bool operator==(const Key&) const = default;
};
struct Hash {
  std::size_t operator()(const Key& key) const { return key.gemm.hash() + static_cast<std::size_t>(key.parts); }
};

struct Prepared {
  dnnl::primitive primitive;
  memory a, b, bias, c, scratchpad;  // without data: it is set before each run
};

// More shapes than any program of ours has; beyond it, all are forgotten, so that a stream of ever new shapes does not
// fill the memory.
constexpr std::size_t kMostShapes = 1024;

dnnl::algorithm algorithm_of(Activation activation) {
  switch (activation) {
    case Activation::tanh:
      return dnnl::algorithm::eltwise_tanh;
    case Activation::sigmoid:
      return dnnl::algorithm::eltwise_logistic;
    case Activation::silu:
      return dnnl::algorithm::eltwise_swish;
    default:
      return dnnl::algorithm::undef;
  }
}

/// [batch,] rows, columns with strides; `transposed` swaps what the matrix is read as, not how it is stored.
memory::desc describe_operand(const Gemm& g, memory::data_type type, std::int64_t rows, std::int64_t columns,
                              std::int64_t row_stride, std::int64_t batch_stride, bool transposed) {
  memory::dims sizes = {rows, columns}, strides = {row_stride, 1};
  if (transposed) std::swap(strides[0], strides[1]);
  if (g.batch != 1) {
    sizes.insert(sizes.begin(), g.batch);
    strides.insert(strides.begin(), batch_stride);
  }
  return {sizes, type, strides};
}

/// `scratch_bytes`: above it the library finds its own.
Prepared prepare(const Gemm& g, std::size_t scratch_bytes) {
  const auto type_of = [](DType dtype) {
    return dtype == DType::bfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
  };
  const auto f32 = memory::data_type::f32, type = type_of(g.dtype);
  const memory::desc a = describe_operand(g, type, g.m, g.k, g.row_stride_a, g.batch_stride_a, g.transpose_a);
  const memory::desc b = describe_operand(g, type, g.k, g.n, g.row_stride_b, g.batch_stride_b, g.transpose_b);
  const memory::desc c =
      describe_operand(g, type_of(g.result_dtype), g.m, g.n, g.row_stride_c, g.batch_stride_c, false);
  const memory::dims bias_sizes = g.batch == 1 ? memory::dims{1, g.n} : memory::dims{1, 1, g.n};
  const memory::desc bias =
      g.bias ? memory::desc(bias_sizes, f32, g.batch == 1 ? memory::dims{g.n, 1} : memory::dims{g.n, g.n, 1})
             : memory::desc();

  dnnl::post_ops after;
  if (g.beta != 0) after.append_sum(g.beta);
  if (g.activation != Activation::identity) {
#if DNNL_VERSION_MAJOR >= 3
    after.append_eltwise(algorithm_of(g.activation), 1.0f, 0.0f);
#else
    after.append_eltwise(1.0f, algorithm_of(g.activation), 1.0f, 0.0f);
#endif
  }

  const auto describe_primitive = [&](dnnl::scratchpad_mode mode) {
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(after);
    attributes.set_scratchpad_mode(mode);
#if DNNL_VERSION_MAJOR >= 3
    return dnnl::matmul::primitive_desc(cpu_engine(), a, b, bias, c, attributes);
#else
    return dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, bias, c), attributes, cpu_engine());
#endif
  };
  auto description = describe_primitive(dnnl::scratchpad_mode::user);
  if (description.scratchpad_desc().get_size() > scratch_bytes)
    description = describe_primitive(dnnl::scratchpad_mode::library);

  const auto without_data = [](const memory::desc& d) { return memory(d, cpu_engine(), DNNL_MEMORY_NONE); };
  return {dnnl::matmul(description), without_data(a),
          without_data(b),           g.bias ? without_data(bias) : memory(),
          without_data(c),           without_data(description.scratchpad_desc())};
}

void run(Prepared& p, std::byte* scratch, const void* a, const void* b, const float* bias, void* c) {
  // oneDNN takes the inputs as void*, and does not write them.
  dnnl_memory_set_data_handle(p.a.get(), const_cast<void*>(a));
  dnnl_memory_set_data_handle(p.b.get(), const_cast<void*>(b));
  dnnl_memory_set_data_handle(p.c.get(), c);
  dnnl_memory_set_data_handle(p.scratchpad.get(), scratch);
  dnnl_exec_arg_t arguments[5] = {{DNNL_ARG_SRC, p.a.get()},
                                  {DNNL_ARG_WEIGHTS, p.b.get()},
                                  {DNNL_ARG_DST, p.c.get()},
                                  {DNNL_ARG_SCRATCHPAD, p.scratchpad.get()}};
  int count = 4;
  if (p.bias) {
    dnnl_memory_set_data_handle(p.bias.get(), const_cast<float*>(bias));
    arguments[count++] = {DNNL_ARG_BIAS, p.bias.get()};
  }
  dnnl::error::wrap_c_api(dnnl_primitive_execute(p.primitive.get(), queue().get(), count, arguments),
                          "could not run a matrix product");
}

constexpr std::int64_t kWorkAPart = std::int64_t{1} << 18;  // multiply-adds, of some 5 us
constexpr std::int64_t kCut = 16;                           // rows or columns of a part: whole vectors

/// Of `length` rows or columns among all threads: what the slowest has.
std::int64_t longest_part(std::int64_t length) {
  const std::int64_t units = (length + kCut - 1) / kCut;
  return std::min(length, (units + host::thread_count() - 1) / host::thread_count() * kCut);
}

std::size_t scratch_share(int parts) {
  return kScratchBytes / static_cast<std::size_t>(parts) / 4096 * 4096;
}

/// The whole of g on this thread, one of `parts` that share the scratch memory.
void multiply(std::byte* scratch, int parts, const Gemm& g, const void* a, const void* b, const float* bias, void* c) {
  static thread_local std::unordered_map<Key, Prepared, Hash> shapes;
  const OneLibraryThread one_thread;
  try {
    const Key key{g, parts};
    auto found = shapes.find(key);
    if (found == shapes.end()) {
      if (shapes.size() >= kMostShapes) shapes.clear();
      found = shapes.emplace(key, prepare(g, scratch_share(parts))).first;
    }
    run(found->second, scratch, a, b, bias, c);
  } catch (const dnnl::error& error) {
    throw RunError("oneDNN failed at a matrix product of " + describe(g) + ": " + error.what());
  }
}

}  // namespace

bool fuses(Activation activation) {
  return activation == Activation::identity || algorithm_of(activation) != dnnl::algorithm::undef;
}

void gemm(std::byte* scratch, const Gemm& g, const void* a, const void* b, const float* bias, void* c) {
  const bool by_product = g.batch >= host::thread_count(), by_row = longest_part(g.m) * g.n <= longest_part(g.n) * g.m;
  const std::int64_t length = by_product ? g.batch : by_row ? g.m : g.n, unit = by_product ? 1 : kCut;
  const std::int64_t units = (length + unit - 1) / unit;
  const int parts = static_cast<int>(std::max<std::int64_t>(
      1, std::min({std::int64_t{host::thread_count()}, units, g.batch * g.m * g.n * g.k / kWorkAPart})));
  host::parallel_parts(parts, [&](int part) {
    const std::int64_t begin = units * part / parts * unit;
    const std::int64_t end = std::min(length, units * (part + 1) / parts * unit);
    Gemm share = g;
    std::int64_t skip_a = 0, skip_b = 0, skip_bias = 0, skip_c = 0;
    if (by_product) {
      share.batch = end - begin;
      skip_a = begin * g.batch_stride_a, skip_b = begin * g.batch_stride_b, skip_c = begin * g.batch_stride_c;
    } else if (by_row) {
      share.m = end - begin;
      skip_a = begin * (g.transpose_a ? 1 : g.row_stride_a), skip_c = begin * g.row_stride_c;
    } else {
      share.n = end - begin;
      skip_b = begin * (g.transpose_b ? g.row_stride_b : 1), skip_bias = skip_c = begin;
    }
    multiply(scratch + static_cast<std::size_t>(part) * scratch_share(parts), parts, share, advance(a, g.dtype, skip_a),
             advance(b, g.dtype, skip_b), bias == nullptr ? bias : bias + skip_bias,
             advance(c, g.result_dtype, skip_c));
  });
}

void gemm_alone(std::byte* scratch, const Gemm& g, const void* a, const void* b, void* c) {
  multiply(scratch, kScratchBytes / kAloneScratchBytes, g, a, b, nullptr, c);
}

}  // namespace otnfm::cpu::onednn
