#include "kernels/cpu/library/onednn_engine.h"

#include "kernels/cpu/library/onednn.h"
#include "kernels/host/processor.h"

namespace otnfm::cpu::onednn {
namespace {

/// OTNFM_PROCESSOR holds for the library too, which must be told before its first use.
void limit_instructions() {
#if defined(__x86_64__)
  static const bool limited = [] {
    switch (host::processor()) {
      case host::Processor::portable:
        return dnnl::set_max_cpu_isa(dnnl::cpu_isa::sse41) == dnnl::status::success;
      case host::Processor::avx2:
        return dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2) == dnnl::status::success;
      case host::Processor::avx512:
        return dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core) == dnnl::status::success;
      default:
        return true;
    }
  }();
  static_cast<void>(limited);
#endif
}

}  // namespace

const dnnl::engine& cpu_engine() {
  limit_instructions();
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& queue() {
  static thread_local dnnl::stream stream(cpu_engine());
  return stream;
}

bool has_bfloat16() {
  limit_instructions();
  static const bool has = [] {
    const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
    const auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
    return (isa & wanted) == wanted;
  }();
  return has;
}

}  // namespace otnfm::cpu::onednn
