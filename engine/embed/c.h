/* otnfm for C and for everything that calls C. No exception leaves it; a function that can fail returns a status, and
 * puts one line that names what is wrong into `error`, which may be null. Objects are made and freed here.
 *
 * An otnfm_generator is a model's weights: any thread may use it. An otnfm_context is what one thread needs to sample,
 * an otnfm_coupler what one thread needs to pair: one call at a time. Their calls allocate nothing, take no lock and
 * use no other thread, but where it is said below. A context keeps the weights alive, so the generator may be freed
 * before it.
 */
#ifndef OTNFM_C_H
#define OTNFM_C_H

#include <stdint.h>

#include "engine/embed/version.h"

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default) /* the library shows these and hides the rest */
#endif

typedef enum {
  OTNFM_OK = 0,
  OTNFM_RUN_ERROR = 1,  /* the machine failed: no memory, no device */
  OTNFM_INPUT_ERROR = 2 /* what was handed in is wrong */
} otnfm_status;

typedef struct {
  char text[256]; /* one line, ended by 0; cut off where it is longer */
} otnfm_error;

typedef enum { OTNFM_CPU = 0, OTNFM_CUDA = 1 } otnfm_device;
typedef enum { OTNFM_FLOAT32 = 0, OTNFM_BFLOAT16 = 2 } otnfm_precision;
typedef enum { OTNFM_SQUARED_EUCLIDEAN = 0, OTNFM_EUCLIDEAN = 1, OTNFM_NEGATIVE_DOT = 2 } otnfm_cost;

typedef struct otnfm_generator otnfm_generator;
typedef struct otnfm_context otnfm_context;
typedef struct otnfm_coupler otnfm_coupler;

/* That of the library: OTNFM_VERSION is that of the header. */
const char* otnfm_version(void);

/* Reads model.safetensors onto a device. */
otnfm_status otnfm_generator_load(const char* path, otnfm_device device, otnfm_precision precision,
                                  otnfm_generator** generator, otnfm_error* error);
void otnfm_generator_free(otnfm_generator* generator); /* null does nothing, here and below */

/* d, the numbers of a sample; 0 for null. */
int64_t otnfm_generator_dimension(const otnfm_generator* generator);

/* Allocates all that sampling max_batch rows at a time needs, and runs it once. */
otnfm_status otnfm_generator_prepare(const otnfm_generator* generator, int64_t max_batch, otnfm_context** context,
                                     otnfm_error* error);

/* The same, and what otnfm_inverse needs, and otnfm_log_prob where `log_prob` is not 0. OTNFM_INPUT_ERROR where the
 * model's family has no inverse, or, for log_prob, its source no density. */
otnfm_status otnfm_generator_prepare_inverse(const otnfm_generator* generator, int64_t max_batch, int log_prob,
                                             otnfm_context** context, otnfm_error* error);
void otnfm_context_free(otnfm_context* context);

/* Samples first_row .. first_row + n - 1 of a seed to out [n, d], row-major: the same numbers however a request is
 * split. On CUDA `out` is device memory and `stream` a cudaStream_t, and the call returns before the work is done; a
 * null stream is the context's own. On the CPU `stream` is ignored. */
otnfm_status otnfm_sample(otnfm_context* context, void* stream, uint64_t seed, int64_t first_row, int64_t n, float* out,
                          otnfm_error* error);

/* out = F(1, noise), both [n, d]; they may be the same memory. */
otnfm_status otnfm_map(otnfm_context* context, void* stream, const float* noise, int64_t n, float* out,
                       otnfm_error* error);

/* out with F(1, out) = data, both [n, d]; they may be the same memory. Families `coupling` and `coupling-spline` have
 * it in closed form. `gru` and `resnet-invertible` iterate: the call waits, allocates, and may end in OTNFM_RUN_ERROR.
 */
otnfm_status otnfm_inverse(otnfm_context* context, void* stream, const float* data, int64_t n, float* out,
                           otnfm_error* error);

/* out[i] = log p(data[i]) in nats; data [n, d], out [n]. Beyond what otnfm_inverse says: the families that iterate have
 * an unbiased estimate above d = 64. */
otnfm_status otnfm_log_prob(otnfm_context* context, void* stream, const float* data, int64_t n, float* out,
                            otnfm_error* error);

/* Waits for the work on the context's own stream. */
otnfm_status otnfm_context_synchronize(otnfm_context* context, otnfm_error* error);

/* Room for clouds of at most n points each, in at most d dimensions. */
otnfm_status otnfm_coupler_create(otnfm_cost cost, int64_t n, int64_t d, otnfm_coupler** coupler, otnfm_error* error);
void otnfm_coupler_free(otnfm_coupler* coupler);

/* The assignment of least total cost: sigma[i] is the target of source point i, -1 where n > m leaves it without one.
 * source [n, d], target [m, d], sigma [n], in host memory. */
otnfm_status otnfm_pair(otnfm_coupler* coupler, const float* source, int64_t n, const float* target, int64_t m,
                        int64_t d, int64_t* sigma, otnfm_error* error);

/* The proof that the last pairing is optimal; its points must still be where they were. It allocates. */
typedef struct {
  double primal_cost; /* mean cost of a pair */
  double dual_bound;  /* no assignment has a lower mean cost */
  double gap;         /* (primal_cost - dual_bound) / |primal_cost| */
  int is_permutation;
} otnfm_certificate;
otnfm_status otnfm_coupler_certificate(const otnfm_coupler* coupler, otnfm_certificate* certificate,
                                       otnfm_error* error);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
