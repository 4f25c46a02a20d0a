import Configuration
import LinuxIO
import Logging

/// Reads a running program's configuration anew, tells what has changed, and keeps what now holds.
final class Reloading<Configuration: ConfigurationFile> {
    private var loaded: LoadedConfiguration<Configuration>
    /// What the program runs with: it may differ from the file in what waits for a restart.
    private var running: [SettingRecord]
    /// A level of the command line comes before that of the file, for good.
    private let logLevelIsFixed: Bool

    init(_ loaded: LoadedConfiguration<Configuration>, logLevelIsFixed: Bool) {
        self.loaded = loaded
        self.logLevelIsFixed = logLevelIsFixed
        running = loaded.settings
    }

    /// Reads the file. Where anything in it is wrong, or `apply` throws, nothing of it is taken over; the log says why.
    /// - Parameter apply: takes the new configuration over; it is called only when something has changed.
    func reload(_ logger: Logger, apply: (Configuration) throws -> Void) {
        defer { releaseProgramPages() }
        let new: LoadedConfiguration<Configuration>
        do {
            new = try loaded.reloaded()
        } catch {
            for problem in error.problems { logger.error("\(problem)") }
            return logger.error("the configuration was not reloaded: the former one stays")
        }
        for warning in new.warnings { logger.warning("\(warning)") }
        let difference = ConfigurationDifference(from: running, to: new.settings, of: Configuration.self)
        guard !difference.isEmpty else { return logger.notice("configuration reloaded: nothing has changed") }
        do {
            try apply(new.configuration)
        } catch {
            return logger.error("the configuration was not reloaded, and the former one stays: \(error)")
        }
        loaded = new
        running = ConfigurationDifference.merge(running, new.settings, of: Configuration.self)
        if !logLevelIsFixed { setLogLevel(new.configuration.logLevel) }
        for change in difference.applied { logger.notice("setting changed", metadata: ["setting": "\(change)"]) }
        for change in difference.waiting {
            logger.warning("setting changed, which needs a restart", metadata: ["setting": "\(change)"])
        }
        logger.notice("configuration reloaded")
    }
}
