// Files of weights built byte by byte.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "lib/core/error.h"
#include "lib/core/files.h"

namespace mtlora::test {

/// `number` in little-endian bytes.
inline std::string little(uint64_t number, size_t width) {
  return {reinterpret_cast<const char*>(&number), width};
}

/// A safetensors file of this header and data, the header's length as it is.
inline std::string safetensors_of(const std::string& header, const std::string& data) {
  return little(header.size(), 8) + header + data;
}

inline uint32_t crc32_of(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

/// A zip archive of uncompressed entries.
inline std::string zip_of(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string files, directory;
  for (const auto& [name, content] : entries) {
    // Version, flags, method, time, date, checksum, sizes, lengths of name and extra field.
    const std::string about = little(20, 2) + little(0, 2) + little(0, 2) + little(0, 4) +
                              little(crc32_of(content), 4) + little(content.size(), 4) +
                              little(content.size(), 4) + little(name.size(), 2) + little(0, 2);
    directory += "PK\x01\x02" + little(20, 2) + about + little(0, 10 - 4 + 2) + little(0, 2) +
                 little(files.size(), 4) + name;
    files += "PK\x03\x04" + about + name + content;
  }
  return files + directory + "PK\x05\x06" + little(0, 4) + little(entries.size(), 2) +
         little(entries.size(), 2) + little(directory.size(), 4) + little(files.size(), 4) +
         little(0, 2);
}

/// The message of the Error that `act` throws; "" where it throws none.
template <class Act>
std::string error_of(Act act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace mtlora::test
