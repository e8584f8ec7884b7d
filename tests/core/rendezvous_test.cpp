// Where a process stands among others, by what torchrun, srun and mpirun set.

#include "lib/core/rendezvous.h"

#include <catch2/catch.hpp>
#include <map>

#include "lib/core/error.h"

using namespace mtlora;

namespace {

using Environment = std::map<std::string, std::string>;

Rendezvous in(const Environment& environment) {
  return rendezvous([&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

const Environment kTorchrun{{"RANK", "3"},           {"WORLD_SIZE", "8"},
                            {"LOCAL_RANK", "1"},     {"LOCAL_WORLD_SIZE", "2"},
                            {"MASTER_ADDR", "head"}, {"MASTER_PORT", "1234"}};

Environment with(Environment base, const Environment& more) {
  for (const auto& [name, value] : more) base[name] = value;
  return base;
}

}  // namespace

TEST_CASE("a process that nobody started with others is alone", "[core]") {
  const Rendezvous alone = in({{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}});  // sbatch, no srun
  CHECK(alone.size == 1);
  CHECK(alone.source.empty());
}

TEST_CASE("torchrun's variables say it all", "[core]") {
  const Rendezvous r = in(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"}}));
  CHECK(r.rank == 3);
  CHECK(r.size == 8);
  CHECK(r.local_rank == 1);
  CHECK(r.local_size == 2);
  CHECK(r.host == "head");
  CHECK(r.port == 1234);
  CHECK(r.store_is_there);
  CHECK(r.source == "torchrun");
  CHECK(!in(kTorchrun).store_is_there);
  CHECK(r.started_alike);
  const Environment by_hand{{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "head"}};
  CHECK(!in(by_hand).started_alike);
}

TEST_CASE("srun's variables name the first machine and a port of the job", "[core]") {
  const Rendezvous r = in({{"SLURM_STEP_NUM_TASKS", "6"},
                           {"SLURM_PROCID", "4"},
                           {"SLURM_LOCALID", "0"},
                           {"SLURM_STEP_TASKS_PER_NODE", "2(x3)"},
                           {"SLURM_STEP_NODELIST", "gpu[07-09]"},
                           {"SLURM_JOB_ID", "40017"}});
  CHECK(r.rank == 4);
  CHECK(!r.started_alike);
  CHECK(r.size == 6);
  CHECK(r.local_size == 2);
  CHECK(r.host == "gpu07");
  CHECK(r.port == 15017);
}

TEST_CASE("mpirun's variables need a head only across machines", "[core]") {
  const Environment one{{"OMPI_COMM_WORLD_SIZE", "2"},
                        {"OMPI_COMM_WORLD_RANK", "1"},
                        {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                        {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}};
  CHECK(in(one).host == "127.0.0.1");
  const Environment two = with(one, {{"OMPI_COMM_WORLD_SIZE", "4"}});
  CHECK_THROWS_WITH(in(two), Catch::Matchers::Contains("MASTER_ADDR"));
  CHECK(in(with(two, {{"MASTER_ADDR", "head"}})).host == "head");
}

TEST_CASE("MPICH's and Intel MPI's variables are understood", "[core]") {
  const Environment one{
      {"PMI_SIZE", "2"}, {"PMI_RANK", "1"}, {"MPI_LOCALNRANKS", "2"}, {"MPI_LOCALRANKID", "1"}};
  CHECK(in(one).size == 2);
  CHECK(in(one).rank == 1);
  CHECK(in(one).local_rank == 1);
  CHECK(in(one).host == "127.0.0.1");
  CHECK_THROWS_WITH(in(with(one, {{"PMI_SIZE", "4"}})),
                    Catch::Matchers::Contains("mpirun -genv MASTER_ADDR"));
  // srun's own, of a job that is no MPI's
  CHECK(in({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}}).size == 1);
}

TEST_CASE("what torchrun starts anew is told apart", "[core]") {
  CHECK(in(kTorchrun).attempt == 0);
  CHECK(in(with(kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "2"}})).attempt == 2);
}

TEST_CASE("missing, senseless and contradictory variables are named", "[core]") {
  CHECK_THROWS_WITH(in({{"RANK", "0"}}), Catch::Matchers::Contains("WORLD_SIZE"));
  CHECK_THROWS_WITH(in({{"WORLD_SIZE", "2"}}), Catch::Matchers::Contains("RANK"));
  CHECK_THROWS_WITH(in(with(kTorchrun, {{"RANK", "two"}})), Catch::Matchers::Contains("RANK=two"));
  CHECK_THROWS_WITH(in(with(kTorchrun, {{"RANK", "8"}})), Catch::Matchers::Contains("rank 8 of 8"));
  CHECK_THROWS_WITH(in(with(kTorchrun, {{"MASTER_PORT", "70000"}})),
                    Catch::Matchers::Contains("70000"));
  const Environment both =
      with(kTorchrun, {{"OMPI_COMM_WORLD_SIZE", "3"}, {"OMPI_COMM_WORLD_RANK", "1"}});
  CHECK_THROWS_WITH(
      in(both), Catch::Matchers::Contains("process 3 of 8") && Catch::Matchers::Contains("1 of 3"));
  const Environment agreeing =
      with(kTorchrun, {{"OMPI_COMM_WORLD_SIZE", "8"}, {"OMPI_COMM_WORLD_RANK", "3"}});
  CHECK(in(agreeing).rank == 3);
}

TEST_CASE("of launchers in each other the inner one counts", "[core]") {
  // srun has started torchrun on each of four machines, or a shell.
  const Environment step{{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "1"}};
  const Environment shell{{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}};
  CHECK(in(with(kTorchrun, step)).rank == 3);
  CHECK(in(with(kTorchrun, step)).size == 8);
  CHECK_THROWS_WITH(in(with(kTorchrun, shell)),
                    Catch::Matchers::Contains("srun that it is 0 of 1"));
  const Environment launched = with(kTorchrun, {{"RANK", "1"}, {"WORLD_SIZE", "2"}});
  CHECK(in(with(launched, shell)).source == "torchrun");
  const Environment mpirun{{"OMPI_COMM_WORLD_SIZE", "4"},
                           {"OMPI_COMM_WORLD_RANK", "2"},
                           {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "2"}};
  CHECK(in(with(mpirun, shell)).source == "mpirun");
  CHECK(in(with(mpirun, shell)).rank == 2);
  CHECK(!in(with(mpirun, shell)).started_alike);
}

TEST_CASE("the first machine of a SLURM list", "[core]") {
  CHECK(first_node("one") == "one");
  CHECK(first_node("one,two") == "one");
  CHECK(first_node("node[03-05,9],other") == "node03");
  CHECK(first_node("one,node[1-2]") == "one");
  CHECK(first_node("n[8]") == "n8");
}
