import Glibc
import IPNetwork
import Testing

/// What Python's `ipaddress` said of random input (Fixtures/generate.py, fixed seed), word by word.
private func fixture(_ kinds: String...) throws -> [[String]] {
    let path = #filePath.split(separator: "/").dropLast().joined(separator: "/")
    let file = try #require(fopen("/\(path)/Fixtures/addresses.txt", "r"))
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        guard count > 0 else { break }
        bytes += buffer[..<count]
    }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
        line.split(separator: " ").map(String.init)
    }
    return lines.filter { kinds.contains($0[0]) }.map { Array($0.dropFirst()) }
}

@Suite("Agreement with Python's ipaddress")
struct PythonComparisonTests {
    @Test func printing() throws {
        let ipv4 = try fixture("print4")
        let ipv6 = try fixture("print6")
        #expect(ipv4.count == 600 && ipv6.count == 600)
        for words in ipv4 {
            let address = IPv4Address(rawValue: try #require(UInt32(words[0])))
            #expect(address.description == words[1])
            #expect(IPv4Address(words[1]) == address)
        }
        for words in ipv6 {
            let address = IPv6Address(rawValue: try #require(UInt128(words[0])))
            #expect(address.description == words[1])
            #expect(IPv6Address(words[1]) == address)
        }
    }

    @Test func parsing() throws {
        for words in try fixture("parse4") {
            #expect(IPv4Address(words[0]).map { "\($0.rawValue)" } ?? "-" == words[1], "\(words[0])")
        }
        for words in try fixture("parse6") {
            #expect(IPv6Address(words[0]).map { "\($0.rawValue)" } ?? "-" == words[1], "\(words[0])")
        }
    }

    @Test func containmentAndOverlap() throws {
        for words in try fixture("pair4") { try check(words, IPv4Address.self) }
        for words in try fixture("pair6") { try check(words, IPv6Address.self) }

        func check<Address: NetworkAddress>(_ words: [String], _: Address.Type) throws {
            let one = try #require(Prefix<Address>(words[0]))
            let two = try #require(Prefix<Address>(words[1]))
            #expect(one.description == words[0])
            #expect(one.contains(two) == (words[2] == "1"), "\(words)")
            #expect(one.overlaps(two) == (words[3] == "1"), "\(words)")
            #expect(two.overlaps(one) == (words[3] == "1"), "\(words)")
            #expect(one.contains(two.address) == (words[4] == "1"), "\(words)")
        }
    }

    @Test func neighboursAndMasks() throws {
        for words in try fixture("block4") { try check(words, IPv4Address.self) }
        for words in try fixture("block6") { try check(words, IPv6Address.self) }

        func check<Address: NetworkAddress>(_ words: [String], _: Address.Type) throws {
            let block = try #require(Prefix<Address>(words[0]))
            #expect(block.address.description == words[1], "\(words)")
            #expect(block.lastAddress.description == words[2], "\(words)")
            #expect(block.mask.description == words[3], "\(words)")
            #expect(block.next?.address.description ?? "-" == words[4], "\(words)")
            #expect(block.previous?.address.description ?? "-" == words[5], "\(words)")
        }
    }

    @Test func subnets() throws {
        for words in try fixture("subnets4") { try check(words, IPv4Address.self) }
        for words in try fixture("subnets6") { try check(words, IPv6Address.self) }

        func check<Address: NetworkAddress>(_ words: [String], _: Address.Type) throws {
            let block = try #require(Prefix<Address>(words[0]))
            let length = try #require(Int(words[1]))
            let expected = words[2].split(separator: ",").map(String.init)
            let subnets = Array(block.subnets(length: length))
            #expect(subnets.map(\.address.description) == expected, "\(words[0])")
            #expect(subnets.allSatisfy { $0.length == length })
            #expect(block.subnetCount(length: length) == expected.count)
        }
    }
}
