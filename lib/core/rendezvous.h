// Where this process stands among those of its run, as the program that started them says in the
// environment: torchrun (RANK, WORLD_SIZE, …), srun (SLURM_…) or mpirun (OMPI_…; of MPICH and
// Intel MPI PMI_…).
#pragma once

#include <functional>
#include <string>

namespace mtlora {

struct Rendezvous {
  int rank = 0, size = 1;              ///< of all processes
  int local_rank = 0, local_size = 1;  ///< of those on this machine
  /// The processes on this machine have the same cores, as torchrun and --processes start them;
  /// srun and mpirun bind each to its own, and so may who starts each by hand.
  bool started_alike = true;
  std::string host = "127.0.0.1";  ///< of the process of rank 0
  int port = 0;                    ///< where the processes find each other
  bool store_is_there = false;     ///< a launcher serves the port already (torchrun's agent)
  int attempt = 0;                 ///< how often the launcher has started them anew
  std::string source;              ///< who said so: "torchrun", "srun", "mpirun"; "": nobody
};

/// The value of an environment variable, or null.
using Variable = std::function<const char*(const char* name)>;

/// Of launchers in each other, as `srun torchrun …`, what the inner one says. Throws Error where a
/// variable is missing or senseless, or where launchers disagree.
Rendezvous rendezvous(const Variable& variable);
/// Of this process's environment.
Rendezvous rendezvous();

/// The first machine of a SLURM node list: "node[03-05,9],other" -> "node03".
std::string first_node(const std::string& list);

}  // namespace mtlora
