#include "layers/maps/flow_map.h"

#include <algorithm>
#include <string>

#include "kernels/check.h"

namespace otnfm {

FlowBatch::FlowBatch(Device device, std::int64_t rows, std::int64_t dimension) {
  if (rows < 1) throw InputError("a batch must be of at least 1 row, not " + std::to_string(rows));
  memory_ = Memory(device, static_cast<std::size_t>(rows * (dimension + 1)) * sizeof(float), "a batch of points");
  x = View<float>(reinterpret_cast<float*>(memory_.data()), {rows, dimension});
  t = View<float>(x.data + rows * dimension, {rows, 1});
  Stream stream(device);
  zero_bytes(stream, memory_.data(), memory_.bytes());
  stream.synchronize();
}

void FlowBatch::upload(Stream& stream, View<const float> t_rows, View<const float> x_rows, std::int64_t begin,
                       std::int64_t count) const {
  copy_rows(stream, t, t_rows.row_slice(begin, count), count);
  copy_rows(stream, x, x_rows.row_slice(begin, count), count);
}

void require_flow_rows(const char* what, std::int64_t dimension, View<const float> t, View<const float> x,
                       View<const float> out) {
  const std::int64_t n = x.rank == 2 ? x.rows() : 0;
  require(x.rank == 2 && x.columns() == dimension && x.contiguous(), what, "x",
          describe(x) + ", wanted contiguous [n, " + std::to_string(dimension) + "]");
  require(same_shape(t, {n, 1}) && t.contiguous(), what, "t",
          describe(t) + ", wanted contiguous [" + std::to_string(n) + ", 1]");
  require(same_shape(out, x) && out.contiguous(), what, "the output", describe(out) + ", wanted " + describe(x));
}

View<const float> entered(const FlowCoordinates& coordinates, View<const float> x, std::vector<float>& memory) {
  if (coordinates.source.identity()) return x;
  memory.resize(static_cast<std::size_t>(x.size()));
  const View<float> u(memory.data(), {x.rows(), x.columns()});
  coordinates.source.apply(x, u);
  return u;
}

void copy_rows(Stream& stream, View<float> to, View<const float> from, std::int64_t count) {
  copy_bytes(stream, to.data, from.data, static_cast<std::size_t>(count * to.columns()) * sizeof(float));
}

FlowMap::FlowMap(Flow& flow, Device device, std::int64_t batch)
    : dimension_(flow.dimension()),
      coordinates_(flow.coordinates),
      stream_(device),
      batch_(device, batch, dimension_),
      tape_(device, {.training = false}) {
  y_ = flow.forward(tape_, tape_.external(batch_.t), tape_.external(batch_.x));
  tape_.keep(y_);
  tape_.plan();
}

void FlowMap::operator()(View<const float> t, View<const float> x, View<float> out) {
  require_flow_rows("FlowMap", dimension_, t, x, out);
  std::vector<float> memory;
  for (std::int64_t begin = 0; begin < x.rows(); begin += batch_.rows()) {
    const std::int64_t count = std::min(batch_.rows(), x.rows() - begin);
    const View<const float> times = t.row_slice(begin, count), at = x.row_slice(begin, count);
    batch_.upload(stream_, times, entered(coordinates_, at, memory), 0, count);
    tape_.run(stream_);
    const View<float> y = out.row_slice(begin, count);
    copy_rows(stream_, y, tape_.view(y_), count);
    stream_.synchronize();
    coordinates_.leave(times, View<const float>(y), y);
  }
}

}  // namespace otnfm
