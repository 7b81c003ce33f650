// The couplings that there are. Each is described in its own file, which has its class, its options and its entry.
#pragma once

#include "engine/couplings/coupling.h"

namespace otnfm {

CouplingEntry independent_coupling();
CouplingEntry minibatch_coupling();
CouplingEntry global_coupling();
CouplingEntry online_coupling();
CouplingEntry semidiscrete_coupling();

}  // namespace otnfm
