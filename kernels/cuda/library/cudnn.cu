// A convolution is described as a graph of operations: the convolution, and forward the sum with `added` and the bias
// (in this order, which the float32 engines want), all but the last result virtual, so that an engine may do them in
// one kernel. A gradient of weights that bfloat16 images have in float32 is followed by the identity, since only
// engines that are compiled at run time store it so, and they want something to fuse.
// The heuristics (mode A, then their fallback) name engines, best first. The first is taken that is deterministic, adds
// up in float32 and computes products of what it was given: no FFT, no Winograd, for float32 no tensor cores, which
// would round operands to TF32. What that leaves for an H200 was tried with cuDNN 9.19 and its description of the
// device: every convolution of float32 has engines, most of which convert an image first and so need scratch memory of
// its size; in bfloat16 all have but those with a float32 result of few or odd channels.
// The library is loaded by the first convolution, so that a program that convolves nothing starts without it, and is
// never unloaded, nor is a plan ever destroyed before its stream: a captured graph may hold its kernels.
#include "kernels/cuda/library/cudnn.h"

#include <cudnn.h>
#include <dlfcn.h>

#include <deque>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/error.h"
#include "kernels/memory.h"

namespace otnfm::cuda {
namespace {

using cudnn::Kind;

/// Engines that want more scratch memory are passed over.
constexpr std::int64_t kMostScratchBytes = std::int64_t{1} << 30;
constexpr std::int64_t kTensorAlignment = 16;

/// The functions of the library that are used.
struct Functions {
  decltype(&cudnnCreate) create;
  decltype(&cudnnDestroy) destroy;
  decltype(&cudnnSetStream) set_stream;
  decltype(&cudnnGetErrorString) error_string;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor;
  decltype(&cudnnBackendSetAttribute) set_attribute;
  decltype(&cudnnBackendGetAttribute) get_attribute;
  decltype(&cudnnBackendFinalize) finalize;
  decltype(&cudnnBackendExecute) execute;

  void require_success(cudnnStatus_t status, const char* doing) const {
    if (status != CUDNN_STATUS_SUCCESS)
      throw RunError(std::string("cuDNN failed while ") + doing + ": " + error_string(status));
  }
};

Functions load() {
  void* const library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    throw RunError(std::string("convolutions on a GPU need cuDNN 9, which cannot be loaded (its folder may be named in "
                               "LD_LIBRARY_PATH): ") +
                   (reason != nullptr ? reason : "libcudnn.so.9"));
  }
  const auto find = [&]<class F>(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(library, name));
    if (function == nullptr) throw RunError(std::string("libcudnn.so.9 has no ") + name);
  };
  Functions f;
  find(f.create, "cudnnCreate");
  find(f.destroy, "cudnnDestroy");
  find(f.set_stream, "cudnnSetStream");
  find(f.error_string, "cudnnGetErrorString");
  find(f.create_descriptor, "cudnnBackendCreateDescriptor");
  find(f.destroy_descriptor, "cudnnBackendDestroyDescriptor");
  find(f.set_attribute, "cudnnBackendSetAttribute");
  find(f.get_attribute, "cudnnBackendGetAttribute");
  find(f.finalize, "cudnnBackendFinalize");
  find(f.execute, "cudnnBackendExecute");
  return f;
}

/// What the library calls a type of attributes. Its descriptors are void*, so a tensor's address is a const void*.
template <class T>
constexpr cudnnBackendAttributeType_t attribute_type() {
  if constexpr (std::is_same_v<T, cudnnHandle_t>) return CUDNN_TYPE_HANDLE;
  if constexpr (std::is_same_v<T, cudnnDataType_t>) return CUDNN_TYPE_DATA_TYPE;
  if constexpr (std::is_same_v<T, cudnnBackendDescriptor_t>) return CUDNN_TYPE_BACKEND_DESCRIPTOR;
  if constexpr (std::is_same_v<T, bool>) return CUDNN_TYPE_BOOLEAN;
  if constexpr (std::is_same_v<T, std::int64_t>) return CUDNN_TYPE_INT64;
  if constexpr (std::is_same_v<T, float>) return CUDNN_TYPE_FLOAT;
  if constexpr (std::is_same_v<T, const void*>) return CUDNN_TYPE_VOID_PTR;
  if constexpr (std::is_same_v<T, cudnnConvolutionMode_t>) return CUDNN_TYPE_CONVOLUTION_MODE;
  if constexpr (std::is_same_v<T, cudnnPointwiseMode_t>) return CUDNN_TYPE_POINTWISE_MODE;
  if constexpr (std::is_same_v<T, cudnnBackendHeurMode_t>) return CUDNN_TYPE_HEUR_MODE;
  if constexpr (std::is_same_v<T, cudnnBackendNumericalNote_t>) return CUDNN_TYPE_NUMERICAL_NOTE;
}

/// Owns a descriptor of the library.
class Descriptor {
 public:
  Descriptor(const Functions& functions, cudnnBackendDescriptorType_t type) : functions_(functions) {
    functions.require_success(functions.create_descriptor(type, &descriptor_), "describing a convolution");
  }
  ~Descriptor() { functions_.destroy_descriptor(descriptor_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  cudnnBackendDescriptor_t get() const { return descriptor_; }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
    functions_.require_success(functions_.set_attribute(descriptor_, name, attribute_type<T>(),
                                                        static_cast<std::int64_t>(values.size()), values.data()),
                               "describing a convolution");
    return *this;
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    functions_.require_success(functions_.set_attribute(descriptor_, name, attribute_type<T>(), 1, &value),
                               "describing a convolution");
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) { return set(name, value.descriptor_); }

  Descriptor& finish() {
    functions_.require_success(functions_.finalize(descriptor_), "describing a convolution");
    return *this;
  }
  /// finish(), and whether the library can do what it says.
  bool finishes() { return functions_.finalize(descriptor_) == CUDNN_STATUS_SUCCESS; }

  /// At most `most` values, which are written to `values` (none: to nowhere); how many there are.
  template <class T>
  std::int64_t read(cudnnBackendAttributeName_t name, std::int64_t most, T* values) const {
    std::int64_t count = 0;
    functions_.require_success(functions_.get_attribute(descriptor_, name, attribute_type<T>(), most, &count, values),
                               "choosing the engine of a convolution");
    return count;
  }

 private:
  const Functions& functions_;
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

// The tensors' names in a graph.
enum Name : std::int64_t { kImage = 1, kWeight, kResult, kBias, kAdded, kProduct, kSum };

/// What is kept of a convolution. Without a plan: the library has no engine for it.
struct Prepared {
  std::deque<Descriptor> parts;  // the plan is the last, made from the others
  cudnnBackendDescriptor_t plan = nullptr;
  std::int64_t scratch_bytes = 0;
};

/// The attributes of the three kinds' operations.
struct OperationNames {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t convolution, image, weight, result, alpha, beta;
};
constexpr OperationNames kNames[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

/// Describes a convolution and chooses its engine.
class Planner {
 public:
  Planner(const Functions& functions, cudnnHandle_t handle, const cudnn::Convolution& n)
      : functions_(functions), handle_(handle), n_(n) {}

  Prepared prepare() && {
    describe();
    Descriptor& graph = add(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
                            .set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle_)
                            .set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations_);
    if (!graph.finishes() || !(choose(graph, CUDNN_HEUR_MODE_A) || choose(graph, CUDNN_HEUR_MODE_FALLBACK))) return {};
    const cudnnBackendDescriptor_t plan = parts_.back().get();
    return {std::move(parts_), plan, scratch_bytes_};
  }

 private:
  Descriptor& add(cudnnBackendDescriptorType_t type) { return parts_.emplace_back(functions_, type); }

  /// The library counts axes as [B, C, H, W], however they lie.
  Descriptor& tensor(Name name, DType dtype, std::int64_t B, std::int64_t H, std::int64_t W, std::int64_t C,
                     bool virtual_ = false) {
    return add(CUDNN_BACKEND_TENSOR_DESCRIPTOR)
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, static_cast<std::int64_t>(name))
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, dtype == DType::bfloat16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kTensorAlignment)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::vector<std::int64_t>{B, C, H, W})
        .set(CUDNN_ATTR_TENSOR_STRIDES, std::vector<std::int64_t>{H * W * C, 1, W * C, C})
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, virtual_)
        .finish();
  }
  Descriptor& image(DType dtype) { return tensor(kImage, dtype, n_.B, n_.H, n_.W, n_.C); }
  Descriptor& weight(DType dtype) { return tensor(kWeight, dtype, n_.O, n_.k, n_.k, n_.C); }
  Descriptor& result(Name name, DType dtype, bool virtual_ = false) {
    return tensor(name, dtype, n_.B, n_.rows(), n_.columns(), n_.O, virtual_);
  }

  /// y = x, or x + b.
  void pointwise(cudnnPointwiseMode_t mode, const Descriptor& x, const Descriptor* b, const Descriptor& y) {
    Descriptor& function = add(CUDNN_BACKEND_POINTWISE_DESCRIPTOR)
                               .set(CUDNN_ATTR_POINTWISE_MODE, mode)
                               .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT)
                               .finish();
    Descriptor& operation = add(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
                                .set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, function)
                                .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x)
                                .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    if (b != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
    operations_.push_back(operation.finish().get());
  }

  void convolution(const Descriptor& image, const Descriptor& weight, const Descriptor& result) {
    const std::vector<std::int64_t> padding = {n_.k / 2, n_.k / 2};
    Descriptor& description = add(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
                                  .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
                                  .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
                                  .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2})
                                  .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding)
                                  .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, padding)
                                  .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, std::vector{n_.stride, n_.stride})
                                  .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, std::vector<std::int64_t>{1, 1})
                                  .finish();
    const OperationNames& names = kNames[static_cast<int>(n_.kind)];
    operations_.push_back(add(names.operation)
                              .set(names.convolution, description)
                              .set(names.image, image)
                              .set(names.weight, weight)
                              .set(names.result, result)
                              .set(names.alpha, 1.0f)
                              .set(names.beta, 0.0f)
                              .finish()
                              .get());
  }

  void describe() {
    const DType type = n_.dtype, to = n_.result_dtype;
    if (n_.kind == Kind::backward_data) return convolution(image(to), weight(type), result(kResult, type));
    if (n_.kind == Kind::backward_weight) {
      if (type == to) return convolution(image(type), weight(to), result(kResult, type));
      const Descriptor& product = tensor(kProduct, DType::float32, n_.O, n_.k, n_.k, n_.C, true);
      convolution(image(type), product, result(kResult, type));
      return pointwise(CUDNN_POINTWISE_IDENTITY, product, nullptr, weight(to));
    }
    const Descriptor& y = result(kResult, to);
    const Descriptor& product = n_.bias || n_.added ? result(kProduct, DType::float32, true) : y;
    convolution(image(type), weight(type), product);
    const Descriptor& sum = n_.bias && n_.added ? result(kSum, DType::float32, true) : y;
    if (n_.added) pointwise(CUDNN_POINTWISE_ADD, product, &result(kAdded, to), sum);
    if (n_.bias)
      pointwise(CUDNN_POINTWISE_ADD, n_.added ? sum : product, &tensor(kBias, DType::float32, 1, 1, 1, n_.O), y);
  }

  /// Whether it is deterministic and as precise as kernels/conv2d.h says.
  bool may_be_taken(const Descriptor& configuration) {
    Descriptor engine(functions_, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t into = engine.get();
    configuration.read(CUDNN_ATTR_ENGINECFG_ENGINE, 1, &into);
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    const std::int64_t count =
        engine.read(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, std::int64_t{CUDNN_NUMERICAL_NOTE_TYPE_COUNT}, notes);
    for (std::int64_t i = 0; i < count; ++i) {
      if (notes[i] == CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP) continue;
      if (notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && n_.dtype == DType::bfloat16) continue;
      return false;
    }
    return true;
  }

  /// Makes a plan by the first engine that will do; false where there is none.
  bool choose(const Descriptor& graph, cudnnBackendHeurMode_t mode) {
    Descriptor& heuristics = add(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
                                 .set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
                                 .set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
    if (!heuristics.finishes()) return false;
    std::vector<cudnnBackendDescriptor_t> into(
        static_cast<std::size_t>(heuristics.read<cudnnBackendDescriptor_t>(CUDNN_ATTR_ENGINEHEUR_RESULTS, 0, nullptr)));
    std::deque<Descriptor> configurations;
    for (cudnnBackendDescriptor_t& descriptor : into)
      descriptor = configurations.emplace_back(functions_, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get();
    into.resize(static_cast<std::size_t>(
        heuristics.read(CUDNN_ATTR_ENGINEHEUR_RESULTS, static_cast<std::int64_t>(into.size()), into.data())));
    for (std::size_t i = 0; i < into.size(); ++i) {
      if (!may_be_taken(configurations[i])) continue;
      Descriptor& plan = add(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
                             .set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle_)
                             .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configurations[i]);
      if (plan.finishes()) {
        plan.read(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 1, &scratch_bytes_);
        if (scratch_bytes_ <= kMostScratchBytes) return true;
      }
      parts_.pop_back();
    }
    return false;
  }

  const Functions& functions_;
  cudnnHandle_t handle_;
  const cudnn::Convolution& n_;
  std::deque<Descriptor> parts_;
  std::vector<cudnnBackendDescriptor_t> operations_;
  std::int64_t scratch_bytes_ = 0;
};

struct Hash {
  std::size_t operator()(const cudnn::Convolution& n) const { return n.hash(); }
};

/// What Stream::dnn() holds.
struct Dnn {
  Functions functions = load();
  cudnnHandle_t handle = nullptr;
  std::unordered_map<cudnn::Convolution, Prepared, Hash> shapes;
  std::vector<Memory> scratch;  // beyond the stream's workspace; the last is the largest, the others are in graphs

  Dnn() { functions.require_success(functions.create(&handle), "opening the library"); }
  ~Dnn() {
    shapes.clear();
    functions.destroy(handle);
  }

  const void* scratch_of(Stream& stream, std::int64_t bytes) {
    const auto wanted = static_cast<std::size_t>(bytes);
    if (wanted <= Stream::kWorkspaceBytes) return stream.workspace();
    if (scratch.empty() || scratch.back().bytes() < wanted)
      scratch.emplace_back(Device::cuda, wanted, "the scratch memory of convolutions");
    return scratch.back().data();
  }
};

}  // namespace

void cudnn::close(void* handle) noexcept {
  delete static_cast<Dnn*>(handle);
}

bool cudnn::convolve(Stream& stream, const Convolution& n, const Operands& operands) {
  if (stream.dnn() == nullptr) stream.dnn() = new Dnn;
  Dnn& dnn = *static_cast<Dnn*>(stream.dnn());
  auto found = dnn.shapes.find(n);
  if (found == dnn.shapes.end()) found = dnn.shapes.emplace(n, Planner(dnn.functions, dnn.handle, n).prepare()).first;
  const Prepared& prepared = found->second;
  if (prepared.plan == nullptr) return false;

  std::vector<std::int64_t> names = {kImage, kWeight, kResult};
  std::vector<const void*> pointers = {operands.image, operands.weight, operands.result};
  if (n.bias) names.push_back(kBias), pointers.push_back(operands.bias);
  if (n.added) names.push_back(kAdded), pointers.push_back(operands.added);
  Descriptor pack(dnn.functions, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, names)
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, dnn.scratch_of(stream, prepared.scratch_bytes))
      .finish();
  dnn.functions.require_success(dnn.functions.set_stream(dnn.handle, stream.cuda()), "choosing a stream");
  dnn.functions.require_success(dnn.functions.execute(dnn.handle, prepared.plan, pack.get()), "starting a convolution");
  return true;
}

}  // namespace otnfm::cuda
