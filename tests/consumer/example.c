/* Samples from a model, pairs them and leads them back to noise, from C99: example MODEL.safetensors */
#include <math.h>
#include <otnfm/c.h>
#include <stdio.h>
#include <stdlib.h>

static otnfm_error error;

static void check(otnfm_status status) {
  if (status == OTNFM_OK) return;
  fprintf(stderr, "example: %s\n", error.text);
  exit(1);
}

int main(int count, char** arguments) {
  const int64_t n = 256;
  int64_t d, sigma[256];
  float *first, *second, *back, nats[256];
  otnfm_generator* generator;
  otnfm_context* context;
  otnfm_coupler* coupler;
  otnfm_certificate proof;
  int64_t shape[3];
  if (count != 2) return 2;

  /* An error is a status and a line of text. */
  if (otnfm_generator_load("no such file", OTNFM_CPU, OTNFM_FLOAT32, &generator, &error) != OTNFM_INPUT_ERROR ||
      error.text[0] == 0)
    return 3;

  check(otnfm_generator_load(arguments[1], OTNFM_CPU, OTNFM_FLOAT32, &generator, &error));
  /* otnfm_generator_prepare, where nothing but samples is wanted. */
  check(otnfm_generator_prepare_inverse(generator, n, 1, &context, &error));
  d = otnfm_generator_dimension(generator);
  otnfm_generator_sample_shape(generator, shape);
  if (shape[0] * shape[1] * shape[2] != d) return 6;
  otnfm_generator_free(generator); /* the context keeps the weights */
  check(otnfm_coupler_create(OTNFM_SQUARED_EUCLIDEAN, n, d, &coupler, &error));
  first = malloc((size_t)(n * d) * sizeof *first);
  second = malloc((size_t)(n * d) * sizeof *second);
  back = malloc((size_t)(n * d) * sizeof *back);
  if (!first || !second || !back) return 4;

  check(otnfm_sample(context, NULL, 7, 0, n, first, &error));
  check(otnfm_sample(context, NULL, 7, n, n, second, &error));
  check(otnfm_pair(coupler, first, n, second, n, d, sigma, &error));
  check(otnfm_coupler_certificate(coupler, &proof, &error));
  printf("first sample %.9g, mean cost %.6g, gap %.1g\n", first[0], proof.primal_cost, proof.gap);

  /* To noise, and to the same samples again. */
  check(otnfm_log_prob(context, NULL, first, n, nats, &error));
  check(otnfm_inverse(context, NULL, first, n, back, &error));
  check(otnfm_map(context, NULL, back, n, back, &error));
  for (int64_t k = 0; k < n * d; ++k)
    if (!(fabsf(back[k] - first[k]) <= 1e-4f) || !isfinite(nats[k / d])) return 5;

  free(first);
  free(second);
  free(back);
  otnfm_coupler_free(coupler);
  otnfm_context_free(context);
  return proof.is_permutation && proof.gap < 1e-6 ? 0 : 1;
}
