// Rows of a few classes: some 30 FLOPs a number, which are nothing beside the network's.
#include "kernels/cross_entropy.h"

#include <cmath>

#include "kernels/device/cross_entropy.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void cross_entropy(Stream& stream, const CrossEntropy& a) {
  const std::int64_t B = a.logits.rows(), K = a.logits.columns();
  double* const of_rows = reinterpret_cast<double*>(stream.workspace());
  host::parallel_rows(B, 8 * K, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) of_rows[i] = row_cross_entropy(a.logits.row(i), a.target.row(i), K);
  });
  double sum = 0;
  for (std::int64_t i = 0; i < B; ++i) sum += of_rows[i];
  a.loss.data[0] = B == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(B));
}

void cross_entropy_backward(Stream&, const CrossEntropyBackward& a) {
  const std::int64_t B = a.logits.rows(), K = a.logits.columns();
  const float factor = a.dloss.data[0] / static_cast<float>(B);
  host::parallel_rows(B, 8 * K, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      row_cross_entropy_gradient(a.logits.row(i), a.target.row(i), K, factor, a.dlogits.row(i));
  });
}

}  // namespace otnfm::cpu
