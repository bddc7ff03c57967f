import Glibc
import IPNetwork
import LinuxSystem
import Tunnel

/// A tunnel without a daemon, and a source and a sink of small datagrams.
@main enum TunnelBench {
    static let usage = """
        TunnelBench tunnel DEVICE ENDPOINT PORT ADDRESS LOCAL-SUBNET SUBNET=PEER... [--queues N] [--offloads BITS]
            runs a tunnel until SIGTERM; prints its counters then and at SIGUSR1
        TunnelBench blast ADDRESS SECONDS [varied|segmented]
            sends datagrams of 36 bytes (packets of 64), or of 36 to 52, or 32 of 36 at a time for the kernel to cut, as
            fast as it can
        TunnelBench drain
            receives them until none has come for a second
        """

    static func main() {
        let words = Array(CommandLine.arguments.dropFirst())
        do {
            switch words.first {
            case "tunnel": try tunnel(Array(words.dropFirst()))
            case "blast" where words.count >= 3:
                let sent = try Blast.send(
                    to: words[1], seconds: Int(words[2]) ?? 1,
                    words.count > 3 ? Blast.Kind(rawValue: words[3]) ?? .equal : .equal)
                print("sent \(sent) a second")
            case "drain": print("received \(try Blast.drain()) a second")
            default:
                print(usage)
                exit(2)
            }
        } catch {
            print(error)
            exit(1)
        }
    }

    private static func tunnel(_ words: [String]) throws {
        var positional: [String] = []
        var options: [String: UInt8] = [:]
        var rest = words[...]
        while let word = rest.popFirst() {
            if word.hasPrefix("--") {
                options[word] = rest.popFirst().flatMap { UInt8($0) }
            } else {
                positional.append(word)
            }
        }
        guard
            positional.count >= 5, let device = InterfaceName(positional[0]), let endpoint = IPAddress(positional[1]),
            let port = UInt16(positional[2]), let address = IPAddress(positional[3]),
            let local = IPPrefix(positional[4])
        else {
            print(usage)
            exit(2)
        }
        let hops = positional.dropFirst(5).compactMap { text -> NextHop? in
            let parts = text.split(separator: "=").map(String.init)
            guard parts.count == 2, let prefix = IPPrefix(parts[0]), let peer = IPAddress(parts[1]) else { return nil }
            return NextHop(prefix: prefix, endpoint: peer, port: port)
        }
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGUSR1)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let tunnel = try Tunnel(
            TunnelConfiguration(
                device: device, endpoints: [endpoint], port: port, addresses: [address],
                queues: Int(options["--queues"] ?? 1),
                offloads: options["--offloads"].map { TunnelOffloads(rawValue: $0) } ?? .all),
            nextHops: NextHopTable(hops, local: [local]))
        print("offloads \(tunnel.offloads); queues \(tunnel.queueCount)")
        fflush(nil)
        var number: CInt = 0
        repeat {
            sigwait(&signals, &number)
            print(tunnel.counters)
            fflush(nil)
        } while number != SIGTERM
        // The device stays; the process ends with its threads in the midst of their work, as when it is killed.
    }
}
