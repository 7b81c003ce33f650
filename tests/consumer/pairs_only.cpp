// The transport solvers without anything of models.
#include <otnfm/ot.h>

#include <cstdio>

int main() {
  float source[] = {0, 0, 1, 0, 0, 1}, target[] = {0, 0.9f, 0.1f, 0, 1, 0.1f};
  const otnfm::Assignment result = otnfm::solve_exact(
      otnfm::Problem::from_points(otnfm::View<const float>(source, {3, 2}), otnfm::View<const float>(target, {3, 2})));
  std::printf("%d %d %d\n", static_cast<int>(result.sigma[0]), static_cast<int>(result.sigma[1]),
              static_cast<int>(result.sigma[2]));
  return result.sigma[0] == 1 && result.sigma[1] == 2 && result.sigma[2] == 0 ? 0 : 1;
}
