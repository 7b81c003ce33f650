// The C ABI over Generator and Coupler; c_transport.cpp has the solvers.
#include "engine/api/c.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "engine/api/guarded.h"
#include "engine/generate/generator.h"
#include "kernels/host/parallel.h"
#include "ot/coupler.h"

struct otnfm_generator {
  otnfm::Generator generator;
};
struct otnfm_context {
  otnfm::GeneratorContext context;
  std::int64_t dimension;
};
struct otnfm_coupler {
  otnfm::Coupler coupler;
};

namespace {

using otnfm::View;
using otnfm::embed::guarded;
using otnfm::embed::require;

// A fixed block, so that to keep it needs no memory.
thread_local char last_error[1024] = "";

}  // namespace

otnfm_status otnfm::embed::fail(otnfm_status status, otnfm_error* error, const char* text) noexcept {
  if (error != nullptr) std::snprintf(error->text, sizeof(error->text), "%s", text);
  std::snprintf(last_error, sizeof(last_error), "%s", text);
  return status;
}

const char* otnfm_last_error(void) {
  return last_error;
}

void otnfm_set_threads(int threads) {
  otnfm::host::set_thread_count(threads);
}

const char* otnfm_version(void) {
  return OTNFM_VERSION;
}

otnfm_status otnfm_generator_load(const char* path, otnfm_device device, otnfm_precision precision,
                                  otnfm_generator** generator, otnfm_error* error) {
  return guarded(error, [&] {
    require(path != nullptr && generator != nullptr, "otnfm_generator_load: path and generator must not be null");
    require(device == OTNFM_CPU || device == OTNFM_CUDA, "otnfm_generator_load: unknown device");
    require(precision == OTNFM_FLOAT32 || precision == OTNFM_BFLOAT16, "otnfm_generator_load: unknown precision");
    *generator = nullptr;
    *generator = new otnfm_generator{otnfm::Generator::load(
        path, device == OTNFM_CUDA ? otnfm::Device::cuda : otnfm::Device::cpu,
        {.precision = precision == OTNFM_BFLOAT16 ? otnfm::Precision::bfloat16 : otnfm::Precision::float32})};
  });
}

void otnfm_generator_free(otnfm_generator* generator) {
  delete generator;
}

int64_t otnfm_generator_dimension(const otnfm_generator* generator) {
  return generator == nullptr ? 0 : generator->generator.dimension();
}

void otnfm_generator_sample_shape(const otnfm_generator* generator, int64_t shape[3]) {
  shape[0] = shape[1] = shape[2] = 0;
  if (generator == nullptr) return;
  const std::vector<std::int64_t> sizes = generator->generator.sample_shape();
  shape[0] = shape[1] = 1;
  std::copy(sizes.begin(), sizes.end(), shape + (3 - sizes.size()));
}

otnfm_status otnfm_generator_prepare(const otnfm_generator* generator, int64_t max_batch, otnfm_context** context,
                                     otnfm_error* error) {
  return guarded(error, [&] {
    require(generator != nullptr && context != nullptr,
            "otnfm_generator_prepare: generator and context must not be null");
    *context = nullptr;
    *context = new otnfm_context{generator->generator.prepare(max_batch), generator->generator.dimension()};
  });
}

otnfm_status otnfm_generator_prepare_inverse(const otnfm_generator* generator, int64_t max_batch, int log_prob,
                                             otnfm_context** context, otnfm_error* error) {
  return guarded(error, [&] {
    require(generator != nullptr && context != nullptr,
            "otnfm_generator_prepare_inverse: generator and context must not be null");
    *context = nullptr;
    *context = new otnfm_context{generator->generator.prepare(max_batch, {.inverse = true, .log_prob = log_prob != 0}),
                                 generator->generator.dimension()};
  });
}

void otnfm_context_free(otnfm_context* context) {
  delete context;
}

otnfm_status otnfm_sample(otnfm_context* context, void* stream, uint64_t seed, int64_t first_row, int64_t n, float* out,
                          otnfm_error* error) {
  return guarded(error, [&] {
    require(context != nullptr, "otnfm_sample: context must not be null");
    require(n >= 0, "otnfm_sample: n must not be negative");
    context->context.sample(static_cast<CUstream_st*>(stream), seed, first_row,
                            View<float>(out, {n, context->dimension}));
  });
}

otnfm_status otnfm_map(otnfm_context* context, void* stream, const float* noise, int64_t n, float* out,
                       otnfm_error* error) {
  return guarded(error, [&] {
    require(context != nullptr, "otnfm_map: context must not be null");
    require(n >= 0, "otnfm_map: n must not be negative");
    context->context.sample(static_cast<CUstream_st*>(stream), View<const float>(noise, {n, context->dimension}),
                            View<float>(out, {n, context->dimension}));
  });
}

otnfm_status otnfm_inverse(otnfm_context* context, void* stream, const float* data, int64_t n, float* out,
                           otnfm_error* error) {
  return guarded(error, [&] {
    require(context != nullptr, "otnfm_inverse: context must not be null");
    require(n >= 0, "otnfm_inverse: n must not be negative");
    context->context.inverse(static_cast<CUstream_st*>(stream), View<const float>(data, {n, context->dimension}),
                             View<float>(out, {n, context->dimension}));
  });
}

otnfm_status otnfm_log_prob(otnfm_context* context, void* stream, const float* data, int64_t n, float* out,
                            otnfm_error* error) {
  return guarded(error, [&] {
    require(context != nullptr, "otnfm_log_prob: context must not be null");
    require(n >= 0, "otnfm_log_prob: n must not be negative");
    context->context.log_prob(static_cast<CUstream_st*>(stream), View<const float>(data, {n, context->dimension}),
                              View<float>(out, {n}));
  });
}

otnfm_status otnfm_context_synchronize(otnfm_context* context, otnfm_error* error) {
  return guarded(error, [&] {
    require(context != nullptr, "otnfm_context_synchronize: context must not be null");
    context->context.synchronize();
  });
}

otnfm_status otnfm_coupler_create(otnfm_cost cost, int64_t n, int64_t d, otnfm_coupler** coupler, otnfm_error* error) {
  return guarded(error, [&] {
    require(coupler != nullptr, "otnfm_coupler_create: coupler must not be null");
    *coupler = nullptr;
    otnfm::Cost kind = otnfm::Cost::squared_euclidean;
    if (cost == OTNFM_EUCLIDEAN)
      kind = otnfm::Cost::euclidean;
    else if (cost == OTNFM_NEGATIVE_DOT)
      kind = otnfm::Cost::negative_dot;
    else
      require(cost == OTNFM_SQUARED_EUCLIDEAN, "otnfm_coupler_create: unknown cost");
    otnfm::Coupler made(kind);
    made.prepare(n, d);
    *coupler = new otnfm_coupler{std::move(made)};
  });
}

void otnfm_coupler_free(otnfm_coupler* coupler) {
  delete coupler;
}

otnfm_status otnfm_pair(otnfm_coupler* coupler, const float* source, int64_t n, const float* target, int64_t m,
                        int64_t d, int64_t* sigma, otnfm_error* error) {
  return guarded(error, [&] {
    require(coupler != nullptr, "otnfm_pair: coupler must not be null");
    coupler->coupler.pair(View<const float>(source, {n, d}), View<const float>(target, {m, d}),
                          View<std::int64_t>(sigma, {n}));
  });
}

otnfm_status otnfm_coupler_certificate(const otnfm_coupler* coupler, otnfm_certificate* certificate,
                                       otnfm_error* error) {
  return guarded(error, [&] {
    require(coupler != nullptr && certificate != nullptr,
            "otnfm_coupler_certificate: coupler and certificate must not be null");
    const otnfm::Certificate proof = coupler->coupler.certificate();
    *certificate = {proof.primal_cost, proof.dual_bound, proof.gap, proof.is_permutation ? 1 : 0};
  });
}
