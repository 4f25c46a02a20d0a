#pragma once
#include <stddef.h>

/// The ASCII form of a host name in UTF-8 (IDNA2008 with the mapping of UTS 46, non-transitional), with a final NUL.
/// Returns 0, or libidn2's number of the failure.
int cidn2_to_ascii(const char *name, char *output, size_t size);
/// Static English text.
const char *cidn2_error_text(int code);
