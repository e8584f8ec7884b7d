#include "lib/train/tensorboard.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <climits>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/core/error.h"
#include "lib/core/tfevents.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

using tfevents::Scalar;

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

constexpr std::string_view kPrefix = "events.out.tfevents.";

// The second that an event file's name tells; 0 of other files.
int64_t second_of(std::string_view name) {
  int64_t second = 0;
  if (name.starts_with(kPrefix)) std::from_chars(name.begin() + kPrefix.size(), name.end(), second);
  return second;
}

std::string host() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, HOST_NAME_MAX) == 0 ? name : "localhost";
}

// events.out.tfevents.<seconds>.<host>.<pid>.<n>. TensorBoard reads the files of a folder in the
// order of their names: a new one's second is behind all that are there, even where the last is of
// this very second or the clock was set back.
fs::path new_file(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot be created: {}", folder.string(), error.message());
  auto second = static_cast<int64_t>(wall_time());
  for (const auto& entry : fs::directory_iterator(folder, error))
    second = std::max(second, second_of(entry.path().filename().string()) + 1);
  if (error) fail("{}: cannot be looked into: {}", folder.string(), error.message());
  return folder / fmt::format("{}{:010}.{}.{}.0", kPrefix, second, host(), getpid());
}

// metrics.jsonl says null where a number is not finite.
double number(const Json& value) {
  return value.is_null() ? std::nan("") : value.get<double>();
}

std::vector<Scalar> train_scalars(const Json& event) {
  static constexpr std::pair<const char*, const char*> kTags[] = {
      {"loss", "train/loss"}, {"lr", "train/learning_rate"}, {"gradient_norm", "train/grad_norm"}};
  std::vector<Scalar> scalars;
  for (const auto& [name, tag] : kTags)
    if (event.contains(name)) scalars.push_back({tag, number(event[name])});
  return scalars;
}

// eval/accuracy; of a split dev_matched, as of one of Trainer's several sets,
// eval/matched_accuracy.
std::vector<Scalar> eval_scalars(const Json& event) {
  const std::string split = event.at("split");
  const std::string before =
      split == "dev" ? "eval/" : fmt::format("eval/{}_", split.substr(split.find('_') + 1));
  std::vector<Scalar> scalars = {{before + "loss", number(event.at("loss"))}};
  for (const auto& [name, value] : event.at("metrics").items())
    scalars.push_back({before + name, number(value)});
  return scalars;
}

}  // namespace

TensorBoard::TensorBoard(const fs::path& folder, const RunPosition& from)
    : file_(new_file(folder)), last_(from) {
  file_.append(tfevents::version_record(wall_time()));
  file_.append(tfevents::start_record(wall_time(), from.step + 1));
}

double TensorBoard::speed(const Json& train_event, double seconds) {
  const RunPosition now{train_event.at("step"), train_event.at("examples"), seconds};
  const RunPosition before = std::exchange(last_, now);
  return static_cast<double>(now.examples - before.examples) / (now.seconds - before.seconds);
}

void TensorBoard::write(const Json& event, double seconds) {
  std::vector<Scalar> scalars;
  if (event.at("event") == "train") {
    scalars = train_scalars(event);
    scalars.push_back({"train/examples_per_second", speed(event, seconds)});
  } else if (event.at("event") == "eval") {
    scalars = eval_scalars(event);
  }
  if (!scalars.empty())
    file_.append(tfevents::scalars_record(wall_time(), event.at("step"), scalars));
}

}  // namespace mtlora
