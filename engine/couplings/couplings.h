// The couplings that there are; each is described in its own file.
#pragma once

#include "engine/couplings/coupling.h"

namespace otnfm {

std::unique_ptr<Coupling> make_independent_coupling(const Source& source, const Dataset& target,
                                                    const CouplingOptions& options);
std::unique_ptr<Coupling> make_minibatch_coupling(const Source& source, const Dataset& target,
                                                  const CouplingOptions& options);
std::unique_ptr<Coupling> make_global_coupling(const Source& source, const Dataset& target,
                                               const CouplingOptions& options);
std::unique_ptr<Coupling> make_online_coupling(const Source& source, const Dataset& target,
                                               const CouplingOptions& options);
std::unique_ptr<Coupling> make_semidiscrete_coupling(const Source& source, const Dataset& target,
                                                     const CouplingOptions& options);

}  // namespace otnfm
