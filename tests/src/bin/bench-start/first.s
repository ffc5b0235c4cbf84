# The payload: says when its first instruction ran (CLOCK_MONOTONIC, two 64-bit numbers: seconds and
# nanoseconds), then ends; or, with an argument, waits for a signal. No library, no loader: what is
# measured is the runtime.
        .globl _start
_start:
        mov     (%rsp), %rbx            # argc
        sub     $32, %rsp
        mov     $228, %eax              # clock_gettime(CLOCK_MONOTONIC, rsp)
        mov     $1, %edi
        mov     %rsp, %rsi
        syscall
        cmp     $1, %rbx
        ja      hold
        mov     $1, %eax                # write(1, rsp, 16)
        mov     $1, %edi
        mov     %rsp, %rsi
        mov     $16, %edx
        syscall
        mov     $60, %eax               # exit(0)
        xor     %edi, %edi
        syscall
hold:
        mov     $34, %eax               # pause()
        syscall
        jmp     hold
