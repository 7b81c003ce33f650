#include "engine/io/atomic_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "engine/io/input_file.h"
#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::expect_input_error;
using testing::get;
using testing::put;
using testing::TemporaryFolder;

TEST(AtomicFile, ReplacesTheFileOnCommitAndNotBefore) {
  const TemporaryFolder folder;
  put(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new ");
    file.write("text");
    EXPECT_EQ(get(folder / "a"), "old");
    file.commit();
  }
  EXPECT_EQ(get(folder / "a"), "new text");
  EXPECT_EQ(folder.files(), 1u);
  EXPECT_THROW(
      {
        AtomicFile file(folder / "a");
        file.commit();
        file.write("late");
      },
      RunError);
}

TEST(AtomicFile, LeavesEverythingAsItWasWithoutCommit) {
  const TemporaryFolder folder;
  put(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("half");
  }
  EXPECT_EQ(get(folder / "a"), "old");
  EXPECT_EQ(folder.files(), 1u);
}

TEST(AtomicFile, TwoWritersOfOneFolderDoNotMeet) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "a"), second(folder / "a");
  first.write("first");
  second.write("second");
  first.commit();
  second.commit();
  EXPECT_EQ(get(folder / "a"), "second");
  EXPECT_EQ(folder.files(), 1u);
}

TEST(AtomicFile, GivesTheModeOfAPlainFile) {
  const TemporaryFolder folder;
  const mode_t mask = ::umask(022);
  write_file(folder / "a", "x");
  ::umask(mask);
  struct stat status {};
  ASSERT_EQ(::stat((folder / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
}

TEST(AtomicFile, WritesThroughALink) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "real");
  put(folder / "real/a", "old");
  std::filesystem::create_symlink("real/a", folder / "link");
  write_file(folder / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(get(folder / "real/a"), "new");
}

// What a user does whose disk is small: the link first, its target when there is one.
TEST(AtomicFile, WritesThroughLinksToWhatIsNotThereYet) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "big");
  std::filesystem::create_directory(folder / "links");
  std::filesystem::create_symlink("big/a", folder / "relative");
  std::filesystem::create_symlink(folder / "big/b", folder / "absolute");
  std::filesystem::create_symlink("../relative", folder / "links/second");
  write_file(folder / "links/second", "first");
  write_file(folder / "absolute", "other");
  EXPECT_EQ(get(folder / "big/a"), "first");
  EXPECT_EQ(get(folder / "big/b"), "other");
  for (const char* link : {"relative", "absolute", "links/second"})
    EXPECT_TRUE(std::filesystem::is_symlink(folder / link)) << link;
  write_file(folder / "relative", "second");
  EXPECT_EQ(get(folder / "big/a"), "second");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "big"), {}), 2);

  std::filesystem::create_symlink("nowhere/a", folder / "lost");
  expect_input_error(folder / "lost", "nowhere/a", [&] { write_file(folder / "lost", "x"); });
  std::filesystem::create_symlink("round", folder / "round");
  expect_input_error(folder / "round", "symbolic links", [&] { write_file(folder / "round", "x"); });
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "round"));
}

TEST(AtomicFile, KeepsTheModeOfWhatItReplaces) {
  const TemporaryFolder folder;
  for (const mode_t mode : {0600u, 0640u, 0666u, 0755u, 0444u}) {
    put(folder / "a", "old");
    ASSERT_EQ(::chmod((folder / "a").c_str(), mode), 0);
    write_file(folder / "a", "new");
    struct stat status {};
    ASSERT_EQ(::stat((folder / "a").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, mode);
    EXPECT_EQ(get(folder / "a"), "new");
  }
}

// While it is written, too.
TEST(AtomicFile, ShowsNobodyWhatTheOldFileWouldNot) {
  const TemporaryFolder folder;
  put(folder / "a", "old");
  ASSERT_EQ(::chmod((folder / "a").c_str(), 0600), 0);
  const AtomicFile file(folder / "a");
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.status().permissions(), std::filesystem::perms{0600}) << entry.path();
}

TEST(AtomicFile, WritesToADeviceAndLeavesItThere) {
  write_file("/dev/null", "x");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  try {
    write_file("/dev/full", "x");
    FAIL() << "wrote to a full device";
  } catch (const RunError& error) {
    EXPECT_NE(std::string(error.what()).find("/dev/full"), std::string::npos) << error.what();
  }
}

TEST(AtomicFile, NamesThePathOfWhatCannotBeWritten) {
  const TemporaryFolder folder;
  expect_input_error(folder / "missing/a", "No such file", [&] { write_file(folder / "missing/a", "x"); });
  put(folder / "file", "x");
  expect_input_error(folder / "file/a", "Not a directory", [&] { write_file(folder / "file/a", "x"); });
  expect_input_error(folder.path(), "Is a directory", [&] { write_file(folder.path(), "x"); });
  const std::string long_name(300, 'n');
  // The temporary name is short, so that it is the renaming that fails, and must clean up.
  expect_input_error(folder / long_name, "too long", [&] { write_file(folder / long_name, "x"); });
  EXPECT_EQ(folder.files(), 1u);
  EXPECT_THROW(write_file("", "x"), InputError);
  if (::geteuid() == 0) return;  // root may write anywhere
  std::filesystem::create_directory(folder / "locked");
  ::chmod((folder / "locked").c_str(), 0555);
  expect_input_error(folder / "locked/a", "Permission denied", [&] { write_file(folder / "locked/a", "x"); });
}

TEST(AtomicFile, IsAskedForBeforeLongWork) {
  const TemporaryFolder folder;
  expect_input_error(folder / "missing/a", "No such file", [&] { check_writable(folder / "missing/a"); });
  expect_input_error(folder.path(), "Is a directory", [&] { check_writable(folder.path()); });
  check_writable(folder / "a");
  EXPECT_EQ(folder.files(), 0u);
  put(folder / "a", "old");
  check_writable(folder / "a");
  EXPECT_EQ(get(folder / "a"), "old");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  check_writable(folder / "pipe");  // does not wait for a reader
  check_writable("/dev/null");
}

TEST(InputFile, RefusesWhatIsNoFileAndWhatIsTooLarge) {
  const TemporaryFolder folder;
  expect_input_error(folder / "missing", "No such file", [&] { read_file(folder / "missing"); });
  expect_input_error(folder.path(), "folder", [&] { read_file(folder.path()); });
  expect_input_error("/dev/zero", "regular", [&] { read_file("/dev/zero"); });
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_input_error(folder / "pipe", "regular", [&] { read_file(folder / "pipe"); });
  put(folder / "a", "12345");
  expect_input_error(folder / "a", "5 bytes, more than the limit of 4", [&] { read_file(folder / "a", 4); });
  EXPECT_EQ(read_file(folder / "a", 5).size(), 5u);
  const InputFile file(folder / "a");
  std::byte bytes[4];
  expect_input_error(folder / "a", "too early", [&] { file.read(2, bytes); });
}

}  // namespace
}  // namespace otnfm
