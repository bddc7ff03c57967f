import Leases
import Logging

// The network config.
extension EtcdLeaseRegistry {
    /// Takes the config of a list.
    func readConfig(_ text: [UInt8]?) {
        guard let new = parse(text) else { return }
        _ = takeConfig(new)
    }

    /// Takes a config that was written while leases are followed.
    func configChanged(_ text: [UInt8]?, _ session: any SubnetSession) async throws {
        let isFirst = config == nil
        guard let new = parse(text), takeConfig(new) else { return }
        if isFirst {
            relistReason = "the network config is there"
        } else if own != nil {
            retryAt = nil
            try await publishAttributes(session)
        }
    }

    /// A good config; else says what is wrong with it and keeps the last good one.
    private func parse(_ text: [UInt8]?) -> ActiveConfig? {
        guard let text else {
            let cause = "there is no network config at \(store.configKey); put one with: \(store.configCommand)"
            refuse(.unavailable(cause: cause), cause)
            return nil
        }
        do throws(ConfigError) {
            return ActiveConfig(text: text, value: try NetworkConfig(json: text))
        } catch {
            let cause = "\(store.configKey): \(error)"
            refuse(.configUnusable(cause: cause), cause)
            return nil
        }
    }

    private func refuse(_ condition: RegistryCondition, _ cause: String) {
        if config == nil {
            report(condition)
        } else if repeated.isDue(cause, at: clock.now) {
            logger.error("the last good network config is kept", metadata: ["cause": "\(cause)"])
        }
    }

    /// - Returns: Whether it is now in force and was not before.
    private func takeConfig(_ new: ActiveConfig) -> Bool {
        guard new.text != config?.text else { return false }
        if let own {
            if let objection = objection(new.value, own) {
                if repeated.isDue(objection, at: clock.now) {
                    logger.error(
                        "the new network config does not fit this host's lease; the old config is kept",
                        metadata: [
                            "subnet": "\(own.key)", "reason": "\(objection)",
                            "remedy":
                                "put the old config back, or restart the daemon on every host to take new subnets",
                        ])
                }
                return false
            }
        }
        let isSame = new.value == config?.value
        config = new
        if isSame { return false }
        pending.config = new.value
        if leases != nil { change { $0.setConfig(new.value) } }
        return true
    }

    private func objection(_ config: NetworkConfig, _ own: OwnHold) -> String? {
        guard config.keepsSubnets(of: own.key) else {
            return "the subnet lies outside the config's bounds or has another length"
        }
        do {
            let key = accepts(own.lease, config) ? own.key : try allocate(config, replacing: own.lease)
            _ = try claim.attributes(config, key, own.lease)
            return nil
        } catch {
            return "\(error)"
        }
    }
}
