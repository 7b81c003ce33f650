// 8 bytes an element moved: bound by memory, a thread an element of the wide matrix. No wide loads: with a time column
// beside them no row starts at a multiple of 16 bytes.
#include "kernels/concat.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

__global__ void concat_columns_kernel(ConcatColumns a) {
  const std::int64_t m = a.a.columns();
  for_each_group<1>(a.y.rows(), a.y.columns(),
                    [&](std::int64_t i, std::int64_t j) { a.y.row(i)[j] = j < m ? a.a.row(i)[j] : a.b.row(i)[j - m]; });
}

__global__ void split_columns_kernel(SplitColumns a) {
  const std::int64_t m = a.a.columns();
  for_each_group<1>(a.y.rows(), a.y.columns(), [&](std::int64_t i, std::int64_t j) {
    if (j < m) {
      if (a.a.data != nullptr) a.a.row(i)[j] = a.y.row(i)[j];
    } else {
      if (a.b.data != nullptr) a.b.row(i)[j - m] = a.y.row(i)[j];
    }
  });
}

__global__ void broadcast_kernel(Broadcast a) {
  const bool column = a.x.columns() == 1 && a.x.rows() == a.y.rows();
  for_each_group<1>(a.y.rows(), a.y.columns(),
                    [&](std::int64_t i, std::int64_t j) { a.y.row(i)[j] = column ? *a.x.row(i) : a.x.row(0)[j]; });
}

}  // namespace

void concat_columns(Stream& stream, const ConcatColumns& a) {
  launch(concat_columns_kernel, element_grid(a.y.rows(), a.y.columns(), false), kElementThreads, 0, stream.cuda(), a);
}

void split_columns(Stream& stream, const SplitColumns& a) {
  launch(split_columns_kernel, element_grid(a.y.rows(), a.y.columns(), false), kElementThreads, 0, stream.cuda(), a);
}

void broadcast(Stream& stream, const Broadcast& a) {
  launch(broadcast_kernel, element_grid(a.y.rows(), a.y.columns(), false), kElementThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
