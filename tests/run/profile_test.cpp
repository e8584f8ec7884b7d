#include "lib/run/profile.h"

#include "tests/support/test.h"
// LibTorch comes before Catch2: hence the order of these.
#include <fstream>
#include <iterator>
#include <regex>
#include <vector>

#include "tests/support/paths.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

std::string cuda_sources() {
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(source_root() / "lib/backend/cuda"))
    if (entry.path().extension() == ".cu") {
      std::ifstream in(entry.path());
      all.append(std::istreambuf_iterator<char>(in), {});
    }
  return all;
}

/// As the profiler names them: with the types of their parameters.
std::vector<std::string> kernels_in(const std::string& sources) {
  static const std::regex kernel(
      R"(__global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(([^)]*)\) \{)"),
      parameter_name(R"( ?\w+(,|$))");
  std::vector<std::string> names;
  for (std::sregex_iterator k(sources.begin(), sources.end(), kernel), end; k != end; ++k)
    names.push_back("void mtlora::backend::cuda::(anonymous namespace)::" + k->str(1) + "<float>(" +
                    std::regex_replace(k->str(2), parameter_name, "$1") + ")");
  return names;
}

size_t occurrences(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; ++at) ++count;
  return count;
}

}  // namespace

TEST_CASE("bench --profile knows the class of every kernel of ours", "[run]") {
  const std::string sources = cuda_sources();
  const std::vector<std::string> kernels = kernels_in(sources);
  CHECK_FALSE(kernels.empty());
  CHECK(kernels.size() == occurrences(sources, "__global__"));
  for (const std::string& kernel : kernels) {
    INFO(kernel);
    CHECK(kernel_class(kernel) != "other");
  }
}

TEST_CASE("kernels of one name are told apart by their arguments", "[run]") {
  const std::string name = "void mtlora::backend::cuda::(anonymous namespace)::forward_kernel<";
  CHECK(kernel_class(name + "32, false>(mtlora::backend::cuda::AttentionCall)") == "attention");
  CHECK(kernel_class(name + "float>(mtlora::backend::cuda::NormCall)") ==
        "norms, with dropout and residual");
  CHECK(kernel_class("nobody_knows_this") == "other");
}
