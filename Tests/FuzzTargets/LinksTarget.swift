import Configuration
import Sealing

/// Text that begins with `p` is a link, anything else what stands in one: so the checksum keeps nothing from being reached. What is read
/// is the same when it is written and read again, and runs a client or is refused in words.
func fuzzLinks(_ bytes: UnsafeRawBufferPointer) {
    let link: AccessLink
    do throws(AccessLink.Fault) {
        link = bytes.first == UInt8(ascii: "p") ? try AccessLink(bytes) : try AccessLink(payload: Array(bytes))
    } catch {
        require(error.description.utf8.allSatisfy { $0 >= 32 && $0 != 127 }, "a control character in a message")
        return
    }
    let text = link.text
    if text.count <= AccessLink.maximumLength {
        let again = text.withBytes { try? AccessLink($0) }
        require(again == link, "a link is another one when it is read again")
    }
    do throws(ConfigurationError) {
        let loaded = try ImportedConfiguration(link: link).loaded(environment: EnvironmentSettings([:]))
        require(loaded.configuration.server == link.server, "another server")
        require(loaded.configuration.key == link.key, "another key")
        require(loaded.configuration.serverKey == link.serverKey, "another key of the server")
    } catch {
        error.problems.forEach(judge)
    }
}
