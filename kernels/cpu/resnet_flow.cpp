// Chooses the processor's variant (cpu/resnet_flow/) and shares the tiles out among the threads; adds up the parts of
// the gradient. Bound by arithmetic: see kernels/resnet_flow.h for the FLOPs.
#include "kernels/resnet_flow.h"

#include <algorithm>

#include "kernels/cpu/resnet_flow/layout.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/host/processor.h"

namespace otnfm::cpu {
namespace resnet {
namespace {

/// dw [out, in] and db [out] of a layer: the sums over the chunks, in their order.
void add_up_layer(const ResNetFlowBackward& a, std::int64_t block, std::int64_t layer) {
  const ResNetFlowShape& s = a.shape;
  const Partial partial{s};
  const float* const parts = reinterpret_cast<const float*>(a.scratch.data);
  const std::int64_t chunks = Chunks(a.dy.rows()).count, size = partial.size();
  const std::int64_t in = s.inputs(layer), out = s.outputs(layer), row = partial.row(layer);
  const bool transposed = partial.transposed(layer);
  float* const dweight = a.dweights.data + s.weight(block, layer);
  float* const dbias = a.dweights.data + s.bias(block, layer);
  std::fill(dweight, dbias + out, 0.0f);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const float* const from = parts + chunk * size + partial.weight(block, layer);
    for (std::int64_t o = 0; o < out; ++o)
      for (std::int64_t i = 0; i < in; ++i) dweight[o * in + i] += transposed ? from[i * row + o] : from[o * row + i];
    const float* const from_bias = parts + chunk * size + partial.bias(block, layer);
    for (std::int64_t o = 0; o < out; ++o) dbias[o] += from_bias[o];
  }
}

void add_up_phi(const ResNetFlowBackward& a, std::int64_t block) {
  const ResNetFlowShape& s = a.shape;
  const Partial partial{s};
  const float* const parts = reinterpret_cast<const float*>(a.scratch.data);
  const std::int64_t chunks = Chunks(a.dy.rows()).count, count = s.phi_weights * s.dimension;
  float* const dw = a.dweights.data + block * s.block_size();
  std::fill(dw, dw + count, 0.0f);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const float* const from = parts + chunk * partial.size() + partial.phi(block);
    for (std::int64_t i = 0; i < count; ++i) dw[i] += from[i];
  }
  if (s.phi != TimeFunctionKind::bounded_fourier) return;
  const float* const w = a.weights.data + block * s.block_size();
  for (std::int64_t j = 0; j < s.dimension; ++j)
    bound_fourier_gradient(w + j, dw + j, s.dimension, time_function_terms(s.phi, s.phi_weights));
}

}  // namespace

void forward_by(Stream& stream, const Variant& by, const ResNetFlowForward& a) {
  if (a.x.empty()) return;
  const ResNetFlowShape& s = a.shape;
  const float* packed = reinterpret_cast<const float*>(a.packed.data);
  if (rounds(a.precision) && a.kept.data != nullptr) {
    // As good as a copy: a thread of its own is worth its waking for a hundred thousand weights.
    float* const rounded = rounded_weights(a.kept, s, a.x.rows());
    host::parallel_ranges(
        s.blocks * (s.depth + 1), 16 * host::kElementGrain / (s.width * s.width),
        [&](std::int64_t begin, std::int64_t end) { by.round(s, a.weights.data, begin, end, rounded); });
  } else if (rounds(a.precision) && packed == nullptr) {
    if (resnet_flow_packed_bytes(s) > static_cast<std::int64_t>(Stream::kWorkspaceBytes))
      throw InputError("resnet_flow_forward: more weights than the workspace holds");
    float* const here = reinterpret_cast<float*>(stream.workspace());
    by.pack(s, a.weights.data, /*bfloat16=*/true, here);
    packed = here;
  }
  host::parallel_ranges(tiles_of(a.x.rows()), 1,
                        [&](std::int64_t begin, std::int64_t end) { by.forward(a, packed, begin, end); });
}

void backward_by(Stream&, const Variant& by, const ResNetFlowBackward& a) {
  const ResNetFlowShape& s = a.shape;
  host::parallel_ranges(Chunks(a.dy.rows()).count, 1,
                        [&](std::int64_t begin, std::int64_t end) { by.backward(a, begin, end); });
  const std::int64_t layers = s.depth + 1, units = s.blocks * layers;
  host::parallel_ranges(units, host::kElementGrain / std::max<std::int64_t>(1, s.width * s.width),
                        [&](std::int64_t begin, std::int64_t end) {
                          for (std::int64_t unit = begin; unit < end; ++unit) {
                            add_up_layer(a, unit / layers, unit % layers);
                            if (unit % layers == 0) add_up_phi(a, unit / layers);
                          }
                        });
}

}  // namespace resnet

void resnet_flow_pack(const ResNetFlowShape& shape, const float* weights, Precision precision, std::uint8_t* packed) {
  host::best<resnet::Variant>().pack(shape, weights, rounds(precision), reinterpret_cast<float*>(packed));
}

void resnet_flow_forward(Stream& stream, const ResNetFlowForward& a) {
  resnet::forward_by(stream, host::best<resnet::Variant>(), a);
}

void resnet_flow_backward(Stream& stream, const ResNetFlowBackward& a) {
  resnet::backward_by(stream, host::best<resnet::Variant>(), a);
}

}  // namespace otnfm::cpu
