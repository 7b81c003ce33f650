// F(t, x) of a finished flow for any number of rows, on any device: the flow's forward pass, recorded once.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/core/tape.h"
#include "kernels/memory.h"
#include "layers/flows/flow.h"

namespace otnfm {

/// t and x of one batch on a device, and the way there and back.
class FlowBatch {
 public:
  FlowBatch(Device device, std::int64_t rows, std::int64_t dimension);

  std::int64_t rows() const { return x.rows(); }

  /// Rows [begin, begin + count) of host memory t [n, 1] and x [n, d]. The rest of the batch keeps what it holds:
  /// finite numbers of earlier rows, whose outputs nobody reads.
  void upload(Stream& stream, View<const float> t_rows, View<const float> x_rows, std::int64_t begin,
              std::int64_t count) const;

  View<float> t;  ///< [rows, 1]
  View<float> x;  ///< [rows, d]

 private:
  Memory memory_;
};

/// InputError where t is not [n, 1], x not [n, dimension], or out not x's shape; all contiguous host memory.
void require_flow_rows(const char* what, std::int64_t dimension, View<const float> t, View<const float> x,
                       View<const float> out);

/// Rows x in the standardised coordinates of a flow's source. They are kept in `memory`, unless they are x itself.
View<const float> entered(const FlowCoordinates& coordinates, View<const float> x, std::vector<float>& memory);

/// The rows of a contiguous matrix in host memory, copied from or to a device that the stream belongs to.
void copy_rows(Stream& stream, View<float> to, View<const float> from, std::int64_t count);

class FlowMap {
 public:
  /// The flow's parameters lie on `device`; it outlives this. `batch` rows at a time.
  FlowMap(Flow& flow, Device device, std::int64_t batch = 4096);

  /// out = F(t, x), row by row, in raw coordinates (Flow::coordinates). t [n, 1], x [n, d] -> out [n, d], all in host
  /// memory; out may be x. Any n. InputError for other shapes.
  void operator()(View<const float> t, View<const float> x, View<float> out);

 private:
  std::int64_t dimension_;
  FlowCoordinates coordinates_;
  Stream stream_;
  FlowBatch batch_;
  Tape tape_;
  Tensor y_;
};

}  // namespace otnfm
