// Row-major products by a column-major library: c^T = op(b)^T op(a)^T, and a row-major matrix is its transpose in
// column-major order, so a and b change places and nothing is moved. The algorithm that cuBLASLt's heuristic proposes
// first is kept for each shape and alignment. float32 means float32 (CUBLAS_COMPUTE_32F), TF32 only where asked;
// bfloat16 is added up in float32.
#include "kernels/cuda/library/cublas.h"

#include <cublasLt.h>

#include <memory>
#include <unordered_map>

#include "kernels/error.h"

namespace otnfm::cuda {
namespace {

void require_success(cublasStatus_t status, const char* doing, const std::string& what = {}) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw RunError(std::string("cuBLAS failed while ") + doing + what + ": " + cublasLtGetStatusString(status));
}

/// The largest power of two, at most 256, that divides an address: what kernels with vector loads depend on.
std::uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer) | 256u;
  return static_cast<std::uint32_t>(address & -address);
}

struct Key {
  Gemm gemm;
  std::uint32_t alignment_a, alignment_b, alignment_c;
  bool operator==(const Key&) const = default;
};
struct Hash {
  std::size_t operator()(const Key& key) const {
    return key.gemm.hash() ^
           (std::size_t{key.alignment_a} << 40 ^ std::size_t{key.alignment_b} << 20 ^ key.alignment_c);
  }
};

// The opaque structs of cuBLASLt need no destruction. "first" and "second" are the library's A and B.
struct Prepared {
  cublasLtMatmulDescOpaque_t product;
  cublasLtMatrixLayoutOpaque_t first, second, c;
  cublasLtMatmulAlgo_t algorithm;
};

// As in kernels/cpu/library/onednn.cpp: a bound against ever new shapes.
constexpr std::size_t kMostShapes = 1024;

struct Blas {
  cublasLtHandle_t handle = nullptr;
  std::unordered_map<Key, Prepared, Hash> shapes;
};

/// A row-major matrix of rows of `columns` elements is a column-major one of columns of that length.
cublasLtMatrixLayoutOpaque_t layout_of(const Gemm& g, cudaDataType_t type, std::int64_t rows, std::int64_t columns,
                                       std::int64_t row_stride, std::int64_t batch_stride) {
  cublasLtMatrixLayoutOpaque_t layout;
  require_success(cublasLtMatrixLayoutInit(&layout, type, static_cast<std::uint64_t>(columns),
                                           static_cast<std::uint64_t>(rows), row_stride),
                  "describing a matrix of ", describe(g));
  if (g.batch != 1) {
    const auto count = static_cast<std::int32_t>(g.batch);
    require_success(
        cublasLtMatrixLayoutSetAttribute(&layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)),
        "setting the batch of ", describe(g));
    require_success(cublasLtMatrixLayoutSetAttribute(&layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                     &batch_stride, sizeof(batch_stride)),
                    "setting the batch of ", describe(g));
  }
  return layout;
}

template <class T>
void set(cublasLtMatmulDescOpaque_t& product, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  require_success(cublasLtMatmulDescSetAttribute(&product, attribute, &value, sizeof(value)), "describing a product");
}

Prepared prepare(cublasLtHandle_t handle, const Key& key, const float* bias) {
  const Gemm& g = key.gemm;
  const auto type_of = [](DType dtype) { return dtype == DType::bfloat16 ? CUDA_R_16BF : CUDA_R_32F; };
  const cudaDataType_t type = type_of(g.dtype);
  Prepared p;
  require_success(
      cublasLtMatmulDescInit(&p.product, g.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
      "describing ", describe(g));
  set(p.product, CUBLASLT_MATMUL_DESC_TRANSA, g.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(p.product, CUBLASLT_MATMUL_DESC_TRANSB, g.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (g.bias) {
    set(p.product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(p.product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
    set(p.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  p.first = layout_of(g, type, g.transpose_b ? g.n : g.k, g.transpose_b ? g.k : g.n, g.row_stride_b, g.batch_stride_b);
  p.second = layout_of(g, type, g.transpose_a ? g.k : g.m, g.transpose_a ? g.m : g.k, g.row_stride_a, g.batch_stride_a);
  p.c = layout_of(g, type_of(g.result_dtype), g.m, g.n, g.row_stride_c, g.batch_stride_c);

  cublasLtMatmulPreferenceOpaque_t preference;
  require_success(cublasLtMatmulPreferenceInit(&preference), "choosing an algorithm for ", describe(g));
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    require_success(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof(value)),
                    "choosing an algorithm for ", describe(g));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{Stream::kWorkspaceBytes});
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.alignment_b);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.alignment_a);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.alignment_c);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.alignment_c);
  cublasLtMatmulHeuristicResult_t result;
  int found = 0;
  require_success(cublasLtMatmulAlgoGetHeuristic(handle, &p.product, &p.first, &p.second, &p.c, &p.c, &preference, 1,
                                                 &result, &found),
                  "choosing an algorithm for ", describe(g));
  if (found == 0) throw RunError("cuBLAS has no algorithm for " + describe(g));
  p.algorithm = result.algo;
  return p;
}

}  // namespace

void* cublas::open() {
  auto blas = std::make_unique<Blas>();
  require_success(cublasLtCreate(&blas->handle), "opening the library");
  return blas.release();
}

void cublas::close(void* handle) noexcept {
  Blas* const blas = static_cast<Blas*>(handle);
  cublasLtDestroy(blas->handle);
  delete blas;
}

void cublas::gemm(Stream& stream, const Gemm& g, const void* a, const void* b, const float* bias, void* c) {
  Blas& blas = *static_cast<Blas*>(stream.blas());
  const Key key{g, alignment_of(a), alignment_of(b), alignment_of(c)};
  auto found = blas.shapes.find(key);
  if (found == blas.shapes.end()) {
    if (blas.shapes.size() >= kMostShapes) blas.shapes.clear();
    found = blas.shapes.emplace(key, prepare(blas.handle, key, bias)).first;
  }
  Prepared& p = found->second;
  if (g.bias) set(p.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  const float one = 1;
  require_success(cublasLtMatmul(blas.handle, &p.product, &one, b, &p.first, a, &p.second, &g.beta, c, &p.c, c, &p.c,
                                 &p.algorithm, stream.workspace(), Stream::kWorkspaceBytes, stream.cuda()),
                  "starting ", describe(g));
}

}  // namespace otnfm::cuda
