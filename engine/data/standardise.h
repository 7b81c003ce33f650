// How data are standardised before a flow is trained on them (engine/core/standardisation.h), from the data themselves.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/core/standardisation.h"
#include "engine/data/dataset.h"
#include "engine/data/source.h"

namespace otnfm {

/// What `--standardise` may be; standardise() says what each does.
struct StandardiseMethod {
  const char* name;
  const char* about;
};
std::span<const StandardiseMethod> standardise_methods();

/// How one data set is standardised, and what there is to say of it.
struct StandardisedData {
  std::string method = "none";  ///< none, scalar or columns
  Standardisation standardisation;
  std::vector<std::string> notes;  ///< lines for people: constant columns, outliers, offsets that leave float32 little
};

/// Methods:
///
///   none        the data as they are
///   scalar      each column less its mean, all divided by one number, the root mean square of the columns' deviations:
///               the optimal pairing stays what it was
///   columns     each column less its mean and divided by its own deviation: columns of any units count alike
///   automatic   none for images and endless distributions; else columns, or scalar where there are more than 64
///               columns of which none varies 10 times as much as their median, so that flattened pictures keep their
///               proportions
///
/// N(0, I) stays as it is in any case. Where a few rows dominate a column of 8 rows or more (its deviation without the
/// largest and smallest hundredth is less than a tenth of the whole), mean and deviation are those of the other rows.
/// InputError where one of its entries then lies more than 10^4 deviations away, naming its row and column, and for an
/// unknown method.
StandardisedData standardise(const Dataset& data, const std::string& method);

/// How a source is standardised beside a target in `target`'s coordinates: N(0, I) not, a gaussian-fit as the target, a
/// data set by `method`.
StandardisedData standardise_source(const NamedSource& source, const StandardisedData& target,
                                    const std::string& method);

/// Both ends of a map in the coordinates that it is trained in, and as they are.
struct StandardisedPair {
  FlowCoordinates coordinates;
  std::string about;  ///< how each end was standardised, for people
  Dataset target;     ///< standardised
  Source source;      ///< standardised; a gaussian-fit is fitted to `target`
  Source raw_source;  ///< what samples are made from
  std::vector<std::string> notes;
};

/// N(0, I) is the same in both coordinates; a gaussian-fit has the target's standardisation; a data set has its own.
StandardisedPair standardise_pair(const NamedSource& source, const Dataset& target, const std::string& method);
/// The same in coordinates that are known: those of a run that goes on, or of a model.
StandardisedPair standardise_pair(const NamedSource& source, const Dataset& target, const FlowCoordinates& coordinates);

}  // namespace otnfm
