/// What `penstock config example client` prints: every key with its default, where it has one.
package let clientConfigurationExample = """
    # Penstock client. Relative paths start at the folder of this file.

    server: vpn.example.org:4433      # host:port, or [IPv6 address]:port
    server-name: vpn.example.org      # name in the server's certificate; the host of 'server' when left out
    trust:                            # exactly one of the two
      ca-file: ca.crt                 # certificates of the authority that signed the server's
      # pin: "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="   # of the server's public key
    # certificate-file: laptop.crt    # from 'penstock pki client', for a server that asks for it
    # private-key-file: laptop.key    # mode 0600
    server-key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="   # the server's public key; 'penstock keygen' printed it
    # key-file: client.key            # from 'penstock keygen', mode 0600; another key each time when left out
    # login: { user: alice, password-file: password }   # for servers that ask for it; the file's mode is 0600
    cipher: auto                      # auto (the faster one here), aes-256-gcm or chacha20-poly1305
    rekey:                            # fresh keys are made
      interval: 1h                    # after so long
      bytes: 64GiB                    # or after so many bytes

    tun:
      name: penstock0
      mtu: 1500                       # 1280 to 65535
      addresses: [198.18.0.1/30, "fd00:5053::1/126"]
      offload: auto                   # auto or off

    routes:
      capture: ["0.0.0.0/0", "::/0"]  # destinations that go through the tunnel
      exclude: []                     # destinations that do not, such as 192.168.0.0/16
      table: 20563                    # routing table of our own
      mark: 20563                     # mark on our own packets to the server
      priority: 5200                  # of our 'ip rule'

    quic:
      congestion-control: bbr2        # bbr2, bbr, cubic or reno
      offload: auto                   # auto or off
      idle-timeout: 30s
      keep-alive: 10s                 # below the idle timeout
      stream-window: 32MiB
      connection-window: 192MiB

    reconnect:
      first-delay: 500ms              # doubles with each attempt
      maximum-delay: 30s

    limits:
      flows: 4096
      udp-associations: 2048          # ports of applications that send datagrams
      memory: 256MiB                  # buffered bytes of all flows

    log:
      level: info                     # trace, debug, info, notice, warning, error or critical

    """

/// What `penstock config example server` prints.
package let serverConfigurationExample = """
    # Penstock server. Relative paths start at the folder of this file.

    listen: "[::]:4433"               # UDP; [::] takes IPv4 as well
    certificate-file: server.crt      # PEM, the server's own certificate first
    private-key-file: server.key      # PEM, mode 0600

    client-certificates:
      demand: none                    # none, optional or required
      # ca-file: pki/ca.crt           # who issues them; 'penstock pki client' does
      # crl-file: pki/ca.crl          # what was revoked; read again within a second of every change

    key-file: tunnel.key              # from 'penstock keygen', mode 0600; clients have its public key
    ciphers: [aes-256-gcm, chacha20-poly1305]   # a client chooses one of these
    clients: []                       # who may come in: a line '- { name: laptop, key: BASE64 }' for each public key

    # loops: 4                        # threads; one for each processor where nothing is said
    drain-time: 5s                    # after SIGTERM, for flows to end by themselves; no new ones are taken

    # Keeps a secret in a file of its own, made on the first start, by which the clients of a server that was restarted
    # are told at once, and known again. When left out, that hangs on the private key, and changes with it.
    # state-directory: /var/lib/penstock

    # The database of users that 'penstock user' keeps; see docs/USERS.md.
    # users:
    #   database: /var/lib/penstock/users.db
    #   address: vpn.example.org:4433 # where clients find this server, for the links of 'penstock share'
    #   require: []                   # what every user must show, such as [certificate, [key, password]]; [] is one of these

    dial:
      timeout: 60s                    # for a destination to answer
      # source-ipv4: 203.0.113.7      # addresses that connections come from
      # source-ipv6: 2001:db8::7
      # interface: eth0               # the only interface that they use
      # A destination is looked up in 'allow' first, then in 'deny', then in the rules. The first that covers it decides.
      # What is left is refused if it is an address of this machine, or loopback, private, link-local, multicast or special
      # in another way; only 'allow', and rules with 'to', open one of those.
      allow: []
      deny: []
      rules: []
      # - name: no-mail               # in logs and statistics; its number where nothing is said
      #   action: deny                # deny or allow
      #   ports: [25, 465, 587]       # or 8000-8999
      #   protocol: tcp               # tcp or udp
      # - action: deny                # example.org and all below it, where a client asks by name
      #   domain: [.example.org]      # name, .name with all below it, *.name for what is below it alone
      # - action: allow
      #   to: [10.1.2.0/24]
      #   user: [alice]

    names:                            # of destinations: clients may ask for a name in place of an address
      servers: []                     # such as 192.0.2.53; those of /etc/resolv.conf, as it is at start, when empty
      timeout: 2s                     # for a name server to answer the first time
      minimum-ttl: 0s                 # an answer is good for as long as it says, within these bounds
      maximum-ttl: 1h
      negative-ttl: 30s               # how long it is believed that there is no such name
      entries: 8192                   # answers that are kept
      queries: 1024                   # questions under way

    udp:
      idle-timeout: 5m                # of an association, after the client's last datagram
      name-lookup-timeout: 30s        # the same while it has asked name servers (port 53) alone

    quic:
      congestion-control: bbr2        # bbr2, bbr, cubic or reno
      offload: auto                   # auto or off
      idle-timeout: 30s
      keep-alive: 10s                 # below the idle timeout
      stream-window: 32MiB
      connection-window: 128MiB
      always-retry: false             # every new client proves its address first

    limits:
      connections: 1024
      flows-per-connection: 4096
      udp-associations: 16384         # of all clients; each takes a port
      udp-associations-per-connection: 3072
      memory: 1GiB                    # buffered bytes of all flows

    log:
      level: info                     # trace, debug, info, notice, warning, error or critical

    """
