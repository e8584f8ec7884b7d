#include "lib/core/rendezvous.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "lib/core/error.h"

namespace mtlora {
namespace {

constexpr int kDefaultPort = 29500;  // torchrun's own

// A whole number of at least `low`.
int number(const Variable& variable, const char* name, int low) {
  const char* text = variable(name);
  if (!text) fail("{}: is not set, though others of its launcher are", name);
  const std::string_view all = text;
  int value = 0;
  const auto [end, error] = std::from_chars(all.data(), all.data() + all.size(), value);
  if (error != std::errc() || end != all.data() + all.size() || value < low)
    fail("{}={}: a whole number of at least {} is wanted", name, all, low);
  return value;
}

int number_or(const Variable& variable, const char* name, int otherwise) {
  return variable(name) ? number(variable, name, 0) : otherwise;
}

void check(const Rendezvous& r) {
  if (r.rank >= r.size) fail("{}: rank {} of {} processes cannot be", r.source, r.rank, r.size);
  if (r.local_rank >= r.local_size)
    fail("{}: rank {} of {} processes on this machine cannot be", r.source, r.local_rank,
         r.local_size);
  if (r.port < 1 || r.port > 65535) fail("{}: port {} cannot be", r.source, r.port);
}

std::string text_or(const Variable& variable, const char* name, std::string otherwise) {
  const char* text = variable(name);
  return text && *text ? text : otherwise;
}

// RANK and WORLD_SIZE say it all; torchrun sets them, and so does `mtlora train --processes`.
std::optional<Rendezvous> by_torchrun(const Variable& variable) {
  if (!variable("RANK") && !variable("WORLD_SIZE")) return std::nullopt;
  Rendezvous r;
  r.source = "torchrun";
  r.size = number(variable, "WORLD_SIZE", 1);
  r.rank = number(variable, "RANK", 0);
  r.local_rank = number_or(variable, "LOCAL_RANK", r.rank);
  r.local_size = number_or(variable, "LOCAL_WORLD_SIZE", r.size);
  r.started_alike = variable("LOCAL_WORLD_SIZE") != nullptr;
  if (r.size > 1 && !variable("MASTER_ADDR"))
    fail("MASTER_ADDR: is not set, though WORLD_SIZE is {}: name the machine of rank 0", r.size);
  r.host = text_or(variable, "MASTER_ADDR", r.host);
  r.port = number_or(variable, "MASTER_PORT", kDefaultPort);
  r.store_is_there = text_or(variable, "TORCHELASTIC_USE_AGENT_STORE", "") == "True";
  r.attempt = number_or(variable, "TORCHELASTIC_RESTART_COUNT", 0);
  return r;
}

// The step's variables, not the job's: a program that sbatch starts without srun is alone.
std::optional<Rendezvous> by_srun(const Variable& variable) {
  if (!variable("SLURM_STEP_NUM_TASKS") || !variable("SLURM_PROCID")) return std::nullopt;
  Rendezvous r;
  r.source = "srun";
  r.started_alike = false;
  r.size = number(variable, "SLURM_STEP_NUM_TASKS", 1);
  r.rank = number(variable, "SLURM_PROCID", 0);
  r.local_rank = number_or(variable, "SLURM_LOCALID", r.rank);
  // "2(x3),1": so many tasks on each machine; an even spread is taken from its first number
  const std::string tasks = text_or(variable, "SLURM_STEP_TASKS_PER_NODE", std::to_string(r.size));
  r.local_size = std::max(std::atoi(tasks.c_str()), r.local_rank + 1);
  r.host = text_or(variable, "MASTER_ADDR",
                   first_node(text_or(variable, "SLURM_STEP_NODELIST", "127.0.0.1")));
  r.port =
      number_or(variable, "MASTER_PORT", 15000 + number_or(variable, "SLURM_JOB_ID", 0) % 20000);
  return r;
}

// What an MPI calls things. `sign`: is set by it alone.
struct MpiNames {
  const char *sign, *size, *rank, *local_rank, *local_size;
  const char* how_to_name_a_machine;
};
constexpr MpiNames kOpenMpi{"OMPI_COMM_WORLD_SIZE",       "OMPI_COMM_WORLD_SIZE",
                            "OMPI_COMM_WORLD_RANK",       "OMPI_COMM_WORLD_LOCAL_RANK",
                            "OMPI_COMM_WORLD_LOCAL_SIZE", "mpirun -x MASTER_ADDR=…"};
// MPICH's and Intel MPI's
constexpr MpiNames kHydra{"MPI_LOCALRANKID", "PMI_SIZE",        "PMI_RANK",
                          "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "mpirun -genv MASTER_ADDR …"};

std::optional<Rendezvous> by_mpirun(const Variable& variable, const MpiNames& names) {
  if (!variable(names.sign)) return std::nullopt;
  Rendezvous r;
  r.source = "mpirun";
  r.started_alike = false;
  r.size = number(variable, names.size, 1);
  r.rank = number(variable, names.rank, 0);
  r.local_rank = number_or(variable, names.local_rank, r.rank);
  r.local_size = number_or(variable, names.local_size, r.size);
  if (r.local_size < r.size && !variable("MASTER_ADDR"))
    fail(
        "MASTER_ADDR: is not set, and mpirun's {} processes are on several machines: name the "
        "machine of rank 0 ({})",
        r.size, names.how_to_name_a_machine);
  r.host = text_or(variable, "MASTER_ADDR", r.host);
  r.port = number_or(variable, "MASTER_PORT", kDefaultPort);
  return r;
}

}  // namespace

std::string first_node(const std::string& list) {
  const size_t bracket = list.find('['), comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
  return list.substr(0, bracket) +
         list.substr(bracket + 1, list.find_first_of(",-]", bracket) - bracket - 1);
}

Rendezvous rendezvous(const Variable& variable) {
  std::vector<Rendezvous> said;
  for (const auto& one : {by_torchrun(variable), by_srun(variable), by_mpirun(variable, kOpenMpi),
                          by_mpirun(variable, kHydra)})
    if (one) said.push_back(*one);
  if (said.empty()) return {};
  for (const Rendezvous& r : said) check(r);
  // Of launchers in each other the inner one has started more processes.
  std::stable_sort(said.begin(), said.end(),
                   [](const auto& a, const auto& b) { return a.size > b.size; });
  const Rendezvous& inner = said[0];
  for (const Rendezvous& r : said) {
    const bool is_same = r.rank == inner.rank && r.size == inner.size;
    // As `srun torchrun …` does, and --processes in a shell that srun has started.
    const bool started_one_a_machine = int64_t{r.size} * inner.local_size == inner.size;
    if (!is_same && !started_one_a_machine)
      fail(
          "{} says that this is process {} of {}, {} that it is {} of {}: unset the variables of "
          "the one that did not start it",
          inner.source, inner.rank, inner.size, r.source, r.rank, r.size);
  }
  return inner;
}

Rendezvous rendezvous() {
  return rendezvous([](const char* name) { return std::getenv(name); });
}

}  // namespace mtlora
