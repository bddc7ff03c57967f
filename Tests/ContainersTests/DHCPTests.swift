import IPNetwork
import Testing

@testable import Containers

@Suite struct DHCPTests {
    @Test func leaseOfUdhcpc() throws {
        let event = DHCPScript.event(
            ["bound"],
            environment: [
                "interface": "eth1", "ip": "192.0.2.7", "subnet": "255.255.255.0", "mask": "24",
                "router": "192.0.2.1 192.0.2.2", "lease": "120",
            ])
        var address = try FixedAddress(parsing: "192.0.2.7/24")
        address.gateway = IPAddress("192.0.2.1")
        #expect(event == .lease(DHCPScript.Lease(address: address, lifetime: 120)))
        #expect(DHCPScript.event(["deconfig"], environment: [:]) == .reset)
        #expect(DHCPScript.event(["leasefail"], environment: [:]) == .none)
    }

    @Test func leaseOfDhclient() throws {
        let event = DHCPScript.event(
            [],
            environment: [
                "reason": "RENEW", "new_ip_address": "192.0.2.7", "new_subnet_mask": "255.255.255.128",
                "new_dhcp_lease_time": "4294967295",
            ])
        let address = try FixedAddress(parsing: "192.0.2.7/25")
        #expect(event == .lease(DHCPScript.Lease(address: address, lifetime: nil)))
        #expect(DHCPScript.event([], environment: ["reason": "EXPIRE"]) == .reset)
        #expect(DHCPScript.event([], environment: ["reason": "BOUND", "new_ip_address": "x"]) == .none)
    }

    @Test func clientsStayInTheForeground() {
        let client = DHCPClientProgram(kind: .udhcpc, words: ["/bin/busybox", "udhcpc"])
        let command = client.command(
            on: name("eth1"), hostName: "web1", options: ["-f", "-q", "-V", "us"], files: "/run/x", script: "/run/s")
        #expect(command.starts(with: ["/bin/busybox", "udhcpc", "-f", "-R", "-i", "eth1", "-x", "hostname:web1"]))
        #expect(command.suffix(2) == ["-V", "us"] && !command.contains("-q"))
    }
}
