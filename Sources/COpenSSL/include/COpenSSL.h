#pragma once
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

/// HKDF with SHA-256 (RFC 5869), extract and expand. Returns 1, or 0 when libcrypto failed.
int penstock_hkdf_sha256(const uint8_t *salt, size_t salt_length, const uint8_t *key, size_t key_length,
                         const uint8_t *info, size_t info_length, uint8_t *output, size_t output_length);
