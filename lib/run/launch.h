// Starts this program several times on this machine, as the processes of one run.
#pragma once

#include <string>
#include <vector>

namespace mtlora {

/// Runs `arguments` (without the program's name) in `processes` processes that find each other by
/// RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, hands stop signals on to them, and waits for all.
/// Only the first speaks; when another fails, what it said is shown. When one has failed the others
/// get a few seconds to end by themselves. Returns the exit code of the first that failed, or 0.
int launch(int processes, const std::vector<std::string>& arguments);

}  // namespace mtlora
