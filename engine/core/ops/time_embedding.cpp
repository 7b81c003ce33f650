#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/time_embedding.h"

namespace otnfm {

Tensor time_embedding(Tape& tape, Tensor t, std::int64_t size) {
  const Tensor y = tape.make({t.size(), size});
  tape.record(otnfm::time_embedding, TimeEmbedding{.t = t.flat(), .y = y.view()});
  return y;
}

}  // namespace otnfm
