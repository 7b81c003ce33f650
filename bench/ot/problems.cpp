#include "bench/ot/problems.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <stdexcept>

namespace otnfm::bench {
namespace {

using Random = std::mt19937_64;

void fill_gaussian(Random& random, std::vector<float>& points) {
  std::normal_distribution<double> normal;
  for (float& value : points) value = static_cast<float>(normal(random));
}

// Eight Gaussians of covariance sqrt(0.1) I on a circle of radius 5.
void fill_eight_gaussians(Random& random, std::vector<float>& points) {
  std::normal_distribution<double> normal(0, std::pow(0.1, 0.25));
  for (std::size_t i = 0; i + 1 < points.size(); i += 2) {
    const double angle = std::acos(-1.0) / 4 * static_cast<double>(random() % 8);
    points[i] = static_cast<float>(5 * std::cos(angle) + normal(random));
    points[i + 1] = static_cast<float>(5 * std::sin(angle) + normal(random));
  }
}

// 3 * moons(noise 0.2) - 1.
void fill_moons(Random& random, std::vector<float>& points) {
  std::normal_distribution<double> normal(0, 0.2);
  std::uniform_real_distribution<double> angle(0, std::acos(-1.0));
  for (std::size_t i = 0; i + 1 < points.size(); i += 2) {
    const double t = angle(random);
    const bool upper = random() % 2 == 0;
    points[i] = static_cast<float>(3 * ((upper ? std::cos(t) : 1 - std::cos(t)) + normal(random)) - 1);
    points[i + 1] = static_cast<float>(3 * ((upper ? std::sin(t) : 0.5 - std::sin(t)) + normal(random)) - 1);
  }
}

// `modes` Gaussians of deviation `width` whose middles are themselves normal, times `spread`.
void fill_mixture(Random& random, std::vector<float>& points, std::int64_t d, std::int64_t modes, double spread,
                  double width) {
  std::normal_distribution<double> normal;
  std::vector<double> middles(static_cast<std::size_t>(modes * d));
  for (double& value : middles) value = spread * normal(random);
  const auto dimension = static_cast<std::size_t>(d);
  for (std::size_t i = 0; i + dimension <= points.size(); i += dimension) {
    const std::size_t mode = random() % static_cast<std::size_t>(modes);
    for (std::size_t k = 0; k < dimension; ++k)
      points[i + k] = static_cast<float>(middles[mode * dimension + k] + width * normal(random));
  }
}

// Images as vectors in [-1, 1]: records of one label and 3072 bytes, the files one after another.
void fill_cifar(Random& random, std::vector<float>& points) {
  constexpr std::size_t kPixels = 3072, kRecord = kPixels + 1, kRecords = 10000;
  std::vector<char> bytes;
  for (int part = 1; part <= 5; ++part) {
    std::ifstream file(fmt::format("{}/data_batch_{}.bin", cifar_folder(), part), std::ios::binary);
    std::vector<char> read(kRecord * kRecords);
    if (!file.read(read.data(), static_cast<std::streamsize>(read.size())))
      throw std::runtime_error(fmt::format("OTNFM_BENCH_CIFAR: {} holds no data_batch_{}.bin", cifar_folder(), part));
    bytes.insert(bytes.end(), read.begin(), read.end());
  }
  for (std::size_t i = 0; i + kPixels <= points.size(); i += kPixels) {
    const char* image = bytes.data() + random() % (5 * kRecords) * kRecord + 1;
    for (std::size_t k = 0; k < kPixels; ++k)
      points[i + k] = static_cast<float>(static_cast<unsigned char>(image[k])) / 127.5F - 1;
  }
}

void write_npy(const std::string& path, const PointClouds& clouds, const std::vector<float>& points) {
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}, {}), }}", clouds.batch,
                                   clouds.n, clouds.d);
  header.resize((10 + header.size() + 64) / 64 * 64 - 10, ' ');
  header.back() = '\n';
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  const char length[2] = {static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  file.write(length, 2);
  file << header;
  file.write(reinterpret_cast<const char*>(points.data()), static_cast<std::streamsize>(points.size() * sizeof(float)));
  if (!file) throw std::runtime_error("cannot write " + path);
}

}  // namespace

const char* cifar_folder() {
  return std::getenv("OTNFM_BENCH_CIFAR");
}

PointClouds make_clouds(const std::string& pair, std::int64_t batch, std::int64_t n, std::int64_t d) {
  PointClouds clouds{fmt::format("{}_d{}_n{}", pair, d, n) + (batch > 1 ? fmt::format("_batch{}", batch) : ""),
                     batch,
                     n,
                     d,
                     std::vector<float>(static_cast<std::size_t>(batch * n * d)),
                     std::vector<float>(static_cast<std::size_t>(batch * n * d))};
  std::uint64_t seed = 14695981039346656037u;  // FNV-1a, the same everywhere
  for (const char c : clouds.name) seed = (seed ^ static_cast<unsigned char>(c)) * 1099511628211u;
  Random random(seed);
  if (pair == "gaussian_8gaussians") {
    fill_gaussian(random, clouds.source);
    fill_eight_gaussians(random, clouds.target);
  } else if (pair == "8gaussians_moons") {
    fill_eight_gaussians(random, clouds.source);
    fill_moons(random, clouds.target);
  } else if (pair == "8gaussians_8gaussians") {
    fill_eight_gaussians(random, clouds.source);
    fill_eight_gaussians(random, clouds.target);
  } else if (pair == "uniform_uniform") {
    std::uniform_real_distribution<float> uniform;
    for (float& value : clouds.source) value = uniform(random);
    for (float& value : clouds.target) value = uniform(random);
  } else if (pair == "clustered_clustered") {
    const auto modes = static_cast<std::int64_t>(std::sqrt(static_cast<double>(n)));
    fill_mixture(random, clouds.source, d, modes, 1, 0.05);
    fill_mixture(random, clouds.target, d, modes, 1, 0.05);
  } else {
    fill_gaussian(random, clouds.source);
    if (pair == "gaussian_mixture")
      fill_mixture(random, clouds.target, d, 8, 2, 0.5);
    else if (pair == "gaussian_cifar")
      fill_cifar(random, clouds.target);
    else
      fill_gaussian(random, clouds.target);
  }
  if (const char* folder = std::getenv("OTNFM_BENCH_PROBLEMS"); folder != nullptr) {
    write_npy(fmt::format("{}/{}.source.npy", folder, clouds.name), clouds, clouds.source);
    write_npy(fmt::format("{}/{}.target.npy", folder, clouds.name), clouds, clouds.target);
  }
  return clouds;
}

const PointClouds& clouds_of(const std::string& pair, std::int64_t batch, std::int64_t n, std::int64_t d) {
  static std::map<std::string, PointClouds> made;
  const std::string key = fmt::format("{} {} {} {}", pair, batch, n, d);
  const auto found = made.find(key);
  return found != made.end() ? found->second : made.emplace(key, make_clouds(pair, batch, n, d)).first->second;
}

}  // namespace otnfm::bench
