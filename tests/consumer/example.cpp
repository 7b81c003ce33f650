// Samples from a model and pairs them with noise: example MODEL.safetensors
#include <otnfm/otnfm.h>

#include <cstdio>
#include <vector>

int main(int count, char** arguments) try {
  if (count != 2) throw otnfm::InputError("usage: example MODEL.safetensors");
  const otnfm::Generator generator = otnfm::Generator::load(arguments[1], otnfm::Device::cpu);
  const std::int64_t n = 256, d = generator.dimension();
  std::vector<float> noise(n * d), samples(n * d);
  std::vector<std::int64_t> sigma(n);
  const otnfm::View<float> x0(noise.data(), {n, d}), x1(samples.data(), {n, d});

  otnfm::GeneratorContext context = generator.prepare(n);  // one a thread
  otnfm::Coupler coupler;
  coupler.prepare(n, d);

  // From here on nothing is allocated.
  const std::uint64_t seed = 7;
  context.sample(nullptr, seed, 0, x1);
  generator.noise(seed, 0, x0);  // (but here)
  coupler.pair(x0, x1, otnfm::View<std::int64_t>(sigma.data(), {n}));

  const otnfm::Certificate proof = coupler.certificate();
  std::printf("first sample %.9g, mean cost %.6g, gap %.1g\n", samples[0], proof.primal_cost, proof.gap);
  return proof.is_permutation && proof.gap < 1e-6 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "example: %s\n", error.what());
  return 1;
}
