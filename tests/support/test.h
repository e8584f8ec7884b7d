// The one header every test of tensors includes: Catch2 beside LibTorch, whose logging defines
// CHECK as well.
#pragma once
#include <torch/types.h>
#undef CHECK
#include <catch2/catch.hpp>
