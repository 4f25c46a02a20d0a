import CIdn2

extension DomainName {
    /// The name as it is asked in the DNS: what is not ASCII becomes `xn--` (RFC 5890, RFC 5891), by the mapping of UTS 46,
    /// non-transitional. For what people write; on the wire names are in ASCII already.
    public init(anyScript text: String) throws(DomainNameError) {
        guard text.utf8.contains(where: { $0 >= 128 }) else {
            try self.init(text)
            return
        }
        // libidn2 reads up to a NUL.
        guard !text.utf8.contains(0) else { throw .badCharacter }
        // 255 bytes, a dot and the NUL.
        let ascii = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 257) { memory in
            let code = cidn2_to_ascii(text, memory.baseAddress, memory.count)
            return code == 0
                ? Result<String, DomainNameError>.success(String(cString: memory.baseAddress!))
                : .failure(.noASCIIForm(String(cString: cidn2_error_text(code))))
        }
        try self.init(ascii.get())
    }
}
