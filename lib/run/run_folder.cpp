#include "lib/run/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <set>
#include <thread>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/log.h"
#include "lib/run/differences.h"
#include "lib/run/run_options.h"
#include "lib/text/foreign_json.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot be created: {}", folder.string(), error.message());
}

// Whether there is anything in it, beside what a run that was killed in its first moment has left.
bool is_taken(const fs::path& folder, std::error_code& error) {
  if (!fs::is_directory(folder, error)) return fs::exists(folder, error);
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename() != "config.json.partial") return true;
  return false;
}

// What says where things lie, which their hashes answer for, or how the run goes on: a run may have
// another of these when it is resumed.
const std::set<std::string> kMayDiffer = {"/model/path",        "/adapter/start_from",
                                          "/task/data",         "/task/train",
                                          "/task/dev",          "/task/test",
                                          "/score/meteor_data", "/train/log_every_steps",
                                          "/train/tensorboard", "/train/timeout_seconds",
                                          "/train/threads"};

void check_same_config(const fs::path& folder, const Json& now) {
  const Json before = dump(read_run_options(folder / "config.json"));
  std::vector<std::string> changed;
  for (const Difference& one : differences(before, now))
    if (kMayDiffer.contains(one.option))
      log::info("resumed with another " + one.text);
    else
      changed.push_back(one.text);
  if (!changed.empty())
    fail("{}: the run there has another configuration, with which alone it goes on:\n  {}",
         folder.string(), fmt::join(changed, "\n  "));
}

}  // namespace

Json identity_of(const Json& config) {
  Json identity = config;
  for (const std::string& option : kMayDiffer)
    if (const Json::json_pointer at(option); identity.contains(at))
      identity.at(at.parent_pointer()).erase(at.back());
  return identity;
}

FolderLock::FolderLock(const fs::path& folder) {
  make_folder(folder);
  descriptor_ = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // One that has just been killed may take a moment to be gone.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  do {
    // A file system that cannot lock folders says something else: then nobody is kept out.
    if (descriptor_ < 0 || flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  } while (std::chrono::steady_clock::now() < deadline);
  close(descriptor_);
  fail("{}: another mtlora is at work on this run", folder.string());
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool holds_run(const fs::path& folder) {
  std::error_code error;
  const bool has_config = fs::exists(folder / "config.json", error);
  if (error) fail("{}: cannot be looked into: {}", folder.string(), error.message());
  if (!has_config || fs::exists(folder / "adapter.safetensors")) return false;
  const ForeignJson config = read_foreign_json(folder / "config.json");
  return config.is_object() && config.contains("train") && config["train"].is_object();
}

void check_folder(const fs::path& folder, bool resume) {
  std::error_code error;
  if (fs::is_symlink(folder, error) && fs::status(folder, error).type() == fs::file_type::not_found)
    fail("{}: a link to {}, where nothing is", folder.string(),
         fs::read_symlink(folder, error).string());
  error.clear();
  const bool is_there = is_taken(folder, error);
  if (error) fail("{}: cannot be looked into: {}", folder.string(), error.message());
  const bool is_run = holds_run(folder);
  if (resume && !is_run)
    fail("--resume: {} holds no run to resume; --resume-or-start begins one there",
         folder.string());
  if (resume || !is_there) return;
  if (!is_run)
    fail("{}: already there, and holds no run: name another folder with --out", folder.string());
  fail("{}: already there. Continue that run with --resume, or name another folder with --out",
       folder.string());
}

bool open_folder(const fs::path& folder, bool resume, const Json& config) {
  check_folder(folder, resume);  // another program may have had it until now
  if (!resume) {
    write_file(folder / "config.json", config.dump(2) + "\n");
    return true;
  }
  check_same_config(folder, config);
  if (fs::exists(folder / "result.json")) {
    log::info(
        fmt::format("the run in {} is finished: there is nothing to resume", folder.string()));
    return false;
  }
  for (const char* name : {"best", "last"})
    if (recover_folder(folder / name))
      log::info(fmt::format("{}: brought back from {}.old", (folder / name).string(), name));
  for (const char* left_over : {"best.partial", "last.partial"})  // of a save that was killed
    fs::remove_all(folder / left_over);
  return true;
}

}  // namespace mtlora
