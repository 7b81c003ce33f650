// The table of one processor; see kernels/host/simd.h for the macros that go before it.
#pragma once

#include "kernels/cpu/resnet_flow/tile.h"

namespace otnfm::cpu::resnet {

// The file of this processor, and no other, includes this. NOLINTNEXTLINE(misc-definitions-in-headers)
constinit const Variant Variant::OTNFM_PROCESSOR = {OTNFM_PROCESSOR::forward, OTNFM_PROCESSOR::backward,
                                                    OTNFM_PROCESSOR::pack, OTNFM_PROCESSOR::round};

}  // namespace otnfm::cpu::resnet
