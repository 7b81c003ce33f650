// What a training run begins with. Every file of it is read once, by whoever needs it first.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "engine/data/dataset.h"
#include "engine/data/standardise.h"
#include "engine/io/folder_lock.h"
#include "engine/io/safetensors.h"
#include "engine/train/options.h"
#include "layers/flows/flow.h"

namespace otnfm {

struct RunStart {
  TrainingOptions options;
  Dataset data;                               ///< as options.data names them, with the rows that are to be held out
  std::optional<SafetensorsFile> state = {};  ///< of the run that this one goes on with; none: a new run
  std::optional<SafetensorsFile> from = {};   ///< options.from of a new run, where it has been read already
  std::unique_ptr<FolderLock> lock = {};      ///< of the run's folder, where it is held already
};

/// The state of the run in a folder, and the lock that it was read under: while it is held nobody writes another.
struct SavedRun {
  std::unique_ptr<FolderLock> lock;
  SafetensorsFile state;
};
SavedRun read_saved_run(const std::filesystem::path& folder);

/// Reads options.from where a new run wants it and it is not there yet.
void read_from(RunStart& start);

/// Both ends of the map, of `data` (the start's, without what is held out, with mirror images where they are asked
/// for), in the coordinates of the run: those of the run that it goes on with or of the model that it begins with, as
/// far as it has the same ends.
StandardisedPair ends_of(const RunStart& start, const Dataset& data);

/// Gives the flow, allocated, a model's weights and their averages. InputError where they are of another flow.
void begin_with(const SafetensorsFile& model, Flow& flow);

}  // namespace otnfm
