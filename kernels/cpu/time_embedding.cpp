// 4 bytes and a sine a number: bound by the arithmetic of the sine, and small beside everything else of a network.
#include "kernels/time_embedding.h"

#include "kernels/device/time_embedding.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void time_embedding(Stream&, const TimeEmbedding& a) {
  const std::int64_t K = a.y.columns() / 2;
  host::parallel_rows(a.y.rows(), 40 * K, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = 0; k < K; ++k) {
      const float frequency = time_embedding_frequency(k, K);
      for (std::int64_t i = begin; i < end; ++i) {
        float sine, cosine;
        time_embedding_of(a.t.data[i], frequency, sine, cosine);
        a.y.row(i)[k] = cosine;
        a.y.row(i)[K + k] = sine;
      }
    }
  });
}

}  // namespace otnfm::cpu
